"""What is secret: how a secret may be written, how it is cut out of what leaves, and how it is found elsewhere."""
