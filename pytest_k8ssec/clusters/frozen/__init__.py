"""Frozen clusters: one that was ready is kept as images, and thawed for each run instead of being made anew.

``supply`` decides, ``key`` says when two clusters would be the same, ``freeze`` makes an entry, ``shelf`` keeps it,
``strays`` finds images that no entry has, ``thaw`` makes a cluster of one. What runs on the nodes stands in ``on_node``.
"""
