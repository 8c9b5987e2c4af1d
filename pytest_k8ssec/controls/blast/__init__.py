"""Controls of the family Blast radius."""
