"""What runs there: one file each, the standard library alone, Python 3.9."""
