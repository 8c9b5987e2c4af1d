"""What happens to clusters, in the words of those whom it happened to, and the controls that look for it."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pytest_k8ssec.catalogue.control import Control

THEMES = {
    "Mistakes in the encryption of Secrets expose data": ("secrets-at-rest",),
    "Passwords and API keys stand in manifests and logs": ("secrets-canary-leak", "id-credentials"),
    "The service account's token gives access to the API by default": ("id-token-*",),
    "RBAC gives too much, up to a token of cluster-admin": ("rbac-*", "api-authz"),
    "One compromised container reaches the node, and so the cluster": ("wl-*", "node-seccomp"),
    "The blast radius of one container": ("blast-radius", "wl-host-access"),
    "etcd is found by a scan of the internet": ("etcd-exposed", "ext-ports"),
    "Who writes to etcd is root, and who reads it soon is": (
        "etcd-client-auth",
        "etcd-peer-auth",
        "etcd-plaintext",
        "etcd-ca-*",
    ),
    "Built-in access controls are off": ("api-anon-*", "kubelet-*", "node-restriction", "adm-psa"),
    "Namespaces are taken for walls, and the network knows none": ("net-*",),
    "Containers have privileges that they do not need": ("wl-*", "adm-psa"),
    "Small mistakes at the beginning spread": ("adm-*", "sup-*", "id-bootstrap-token", "api-tls", "node-*"),
    "Nobody noticed": ("aud-*",),
    "Consoles and nodes are open to the outside": ("ext-*",),
}
"""Theme to patterns of control ids."""


def of_theme(patterns: Sequence[str], found: Sequence[Control]) -> list[str]:
    """Ids of the controls that belong to a theme, which may have none as yet."""
    return [one.id for one in found if any(fnmatchcase(one.id, pattern) for pattern in patterns)]
