"""A new control begins here: ``make new-control ID=family-slug``."""
