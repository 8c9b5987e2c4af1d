"""Controls of the family Admission."""
