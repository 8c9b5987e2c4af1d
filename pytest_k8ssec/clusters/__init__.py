"""Clusters: what one is, and how kind makes them."""
