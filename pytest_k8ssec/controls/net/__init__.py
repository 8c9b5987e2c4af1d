"""Controls of the family Network."""
