"""Pods of ours: their manifests, the pool that shares them, unrestricted ones."""
