"""Measures this project beside other tools; none of it is installed with the plugin.

``python -m bench detection`` breaks a real cluster in known ways, and asks each tool what it sees.
"""
