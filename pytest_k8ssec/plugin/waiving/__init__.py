"""Which breaches do not fail a run: somebody answers for them, or they were there before; and what is told of waivers that are stale."""
