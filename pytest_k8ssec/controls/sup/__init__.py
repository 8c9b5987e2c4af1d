"""Controls of the family Supply chain."""
