"""Sends tasks to a program of ours in or beside the cluster, and reads that program's answers."""
