"""Turns results into text (terminal, JSON, JUnit, pages), compares them, and writes the report's files.

More than twelve files: each is one form of the same results, or what several of the forms share.
"""
