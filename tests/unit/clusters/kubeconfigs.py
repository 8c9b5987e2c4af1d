"""Kubeconfigs, for tests."""

from __future__ import annotations

NOBODY_ANSWERS = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""
"""Of a server where nobody listens."""
