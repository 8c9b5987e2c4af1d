"""A testbed is one cluster with what this run put on it: the stack, and the pool of our pods.

There is the base, and one for each sabotage that needs a cluster of its own.
"""
