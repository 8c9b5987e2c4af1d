"""Controls of the family RBAC."""
