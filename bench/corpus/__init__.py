"""Small stacks as people have them, judged by all controls of stacks: right is what was written down before.

``python -m bench.corpus`` gives each stack of ``stacks/corpus`` a cluster of its own.
"""
