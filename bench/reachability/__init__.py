"""Who can talk to whom, measured by us and by cyclonus, on the same pods at the same moment."""
