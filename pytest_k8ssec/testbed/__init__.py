"""A testbed is one cluster with what this run put on it: the stack, and the pool of our pods.

A run has one base testbed, and one for each sabotage that needs a cluster of its own.
"""
