"""The hardened stack on clusters of other shapes: what is held on the usual one is held there too, or it is said why not.

``python -m bench.shapes`` gives each shape of ``stacks/shapes`` a cluster of its own.
"""
