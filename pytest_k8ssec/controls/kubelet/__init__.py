"""Controls of the family kubelet."""
