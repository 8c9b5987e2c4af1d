"""Tasks that are sent to a place in or beside the cluster, and the answers that come back."""
