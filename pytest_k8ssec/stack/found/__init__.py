"""What of a stack is found on the cluster: what it declares, what came with that, what is missing, and what does not start."""
