"""Measures who reaches whom, and compares that with what is declared. Imports neither pytest nor a control.

More than twelve files: one measurement from places to matrix, one step in each file.
"""
