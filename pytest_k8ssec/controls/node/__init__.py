"""Controls of the family Nodes."""
