"""The attack graph of a workload, walked with probes. The walk changes nothing; its positive control creates objects of ours.

An *attack* here is a whole walk: all that an attacker reaches, step by step, from inside one workload (the blast radius). One
attempt that a control tries and records is ``verdict.Attack``; what the walk found becomes such records in ``findings``.

More than twelve files: one walk, and a file for each group of edges that it follows.
"""
