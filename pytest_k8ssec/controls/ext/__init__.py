"""Controls of the family Exposure to the outside."""
