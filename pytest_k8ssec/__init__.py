"""pytest-k8ssec."""
