"""Clusters: kind, the API client, kind configurations. Knows no control.

More than twelve files: each is one thing about a cluster, and the frozen ones have a room of their own.
"""
