"""The machine that we run on: processes, locks, docker, releases, tools, the ledger of runs.

Knows no Kubernetes API.

More than twelve files: each is one thing of the machine, and most know nothing but how a command is run.
"""
