"""Controls of the family Identities and tokens."""
