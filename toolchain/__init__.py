"""Builds or finds every tool on a machine that reaches nothing but package registries.

Run as `python3 -m toolchain` from the repository's root, with any Python 3.11 and nothing installed: it comes before
everything else, so it imports the standard library and itself only.
"""
