"""The machine that we run on: processes, locks, docker, releases, tools, the ledger of runs.

This room does not know the Kubernetes API.

More than twelve files: each is about one part of the machine.
"""
