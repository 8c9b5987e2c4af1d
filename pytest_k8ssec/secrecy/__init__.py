"""Hides known secrets in all text that leaves, in each form they can take, and finds them in documents."""
