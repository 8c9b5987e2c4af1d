"""Controls of etcd."""
