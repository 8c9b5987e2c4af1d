"""Controls of the family Secrets."""
