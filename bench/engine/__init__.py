"""What policies should give, computed by us and by cyclonus from the same stored objects."""
