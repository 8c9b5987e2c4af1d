"""Which breaches somebody answers for, and what is told of waivers that are stale: pure but for ``told``."""
