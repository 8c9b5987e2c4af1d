"""Measures who reaches whom, and compares that with what is declared. Knows no pytest and no control.

More than twelve files: one measurement from places to matrix, a step a file, and each step knows the one before.
"""
