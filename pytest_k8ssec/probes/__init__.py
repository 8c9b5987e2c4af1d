"""Probes: they send something and return evidence, and never judge."""
