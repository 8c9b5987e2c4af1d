"""Bootstrap tokens: where a cluster keeps them, and the one that kind gives to every cluster."""

from __future__ import annotations

PUBLIC_BOOTSTRAP_TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 - everybody knows it
"""Not a secret: it is in kind's source, and in kubeadm's documentation."""
SYSTEM_NAMESPACE = "kube-system"
TOKEN_SECRETS = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/secrets"
"""The Secrets among which they are (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/)."""
TOKEN_TYPE = "bootstrap.kubernetes.io/token"  # noqa: S105 - the type of such a Secret
