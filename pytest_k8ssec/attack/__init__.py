"""The attack graph of one compromised workload: what it reaches, how that was proven, and what would cut it."""
