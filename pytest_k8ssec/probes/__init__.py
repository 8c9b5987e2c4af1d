"""Sends something from a place and returns evidence. Never judges, never changes.

More than twelve files: each is one thing that is asked, none knows many others, and a sub-room would only repeat its name.
"""
