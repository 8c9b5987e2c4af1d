"""Controls of the family etcd."""
