"""What pytest's own terminal leaves out or says more shortly, as the summary of this package tells it once and better."""
