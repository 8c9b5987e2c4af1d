"""Controls of the family API server."""
