"""From results to text: terminal, JSON, JUnit, pages. Pure functions."""
