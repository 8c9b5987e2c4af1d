"""Whatever changes a cluster on purpose, and the proof that it took effect."""
