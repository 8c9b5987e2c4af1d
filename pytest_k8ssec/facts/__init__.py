"""Only looks: what is in a cluster, what its nodes hold, which ports listen. Sends nothing, changes nothing."""
