"""A sabotage breaks a cluster on purpose, proves that it did, and undoes it."""
