"""Clusters: kind, the API client, kind configurations. Knows no control."""
