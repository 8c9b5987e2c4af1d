"""A probe sends something from a place and returns evidence. It judges nothing, and changes only objects of ours.

More than twelve files: each is one thing that is asked, none knows many others, and a sub-room would only repeat its name.
"""
