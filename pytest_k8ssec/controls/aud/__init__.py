"""Controls of the family Audit."""
