"""The attack graph of a workload, walked with probes. Sends no request that changes something.

More than twelve files: one walk, and a file for each group of edges that it follows.
"""
