"""A probe sends something from a place and returns evidence. It judges nothing, and changes only objects of ours.

More than twelve files: each probes one thing, imports few of the others, and a folder of its own would only repeat its
name.
"""
