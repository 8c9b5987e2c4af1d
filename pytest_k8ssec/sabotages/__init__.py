"""Puts the controls' sabotages in force, proves that they broke something, and undoes them.

The sabotages themselves stand in the files of their controls; ``saboteur`` runs and undoes them, the others are what they use.
"""
