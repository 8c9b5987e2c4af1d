"""The attack graph of a workload, walked with probes. The walk changes nothing; its positive control creates objects of ours.

More than twelve files: one walk, and a file for each group of edges that it follows.
"""
