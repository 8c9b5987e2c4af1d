"""The API server gives an account without rights nothing.

One binding to system:authenticated or system:serviceaccounts, or an authorization mode of AlwaysAllow, makes every token of
the cluster an administrator's, and every pod that mounts one a way in. A service account that was made on the spot, and
that nobody gave any right, tries to list what is worth stealing (names only, one of each kind), to read and delete what
does not exist, and to create what would give it more; what writes is a dry run. An authorised request for a name that does
not exist is answered 404, a refused one 403, so nothing has to be read to know.

That this is so is shown at the same moment by our own credentials, which are told 404; and that the account's token is
valid by the API server, which names its owner.

Remediation: set `--authorization-mode=Node,RBAC`, and remove what binds roles to groups that everybody is in (`kubectl get
clusterrolebindings,rolebindings -A -o wide | grep -E 'system:(authenticated|serviceaccounts)'`; Kubernetes' own
system:basic-user, system:discovery, system:public-info-viewer and system:service-account-issuer-discovery stay).

Sources: CIS Kubernetes Benchmark 1.2.6, 1.2.8; https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.control import Severity, control, sabotage
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.probes.identities import Identity, api_evidence, nobody
from pytest_k8ssec.probes.pool import Pool
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge
