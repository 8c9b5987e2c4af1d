"""Which kinds an API server can list, and which of its APIs do not answer at the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import ClusterError

_DISCOVERY: Final = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
_STALE: Final = "Stale"
_FIGURES: Final = ("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")
"""Groups that are computed when they are asked for, and hold no objects; their server takes a minute until it first answers."""


@dataclass(frozen=True, slots=True)
class ListedKind:
    """A kind that can be listed."""

    api_version: str
    """``v1``, ``apps/v1``."""
    kind: str
    plural: str
    namespaced: bool

    @property
    def group(self) -> str:
        """``apps``; "" for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def full_name(self) -> str:
        """``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.group}".rstrip(".")

    def path(self, namespace: str = "") -> str:
        """Path of the URL of all objects of the kind, or of those in one namespace."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What an API server says of its kinds."""

    kinds: tuple[ListedKind, ...]
    """Each in one version: the preferred one of its group where that has it, as some kinds exist in another one only."""
    silent: tuple[str, ...]
    """Versions of API groups (``metrics.k8s.io/v1beta1``) whose own server does not answer: their kinds may be unknown."""


def discover(api: KubeApi) -> Discovery:
    """All kinds that can be listed, by two requests.

    Raises:
        ClusterError: an answer is not 2xx.

    Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
    """
    kinds: list[ListedKind] = []
    silent: list[str] = []
    for place in ("/api", "/apis"):
        answer = api.request("GET", place, params={}, headers=_DISCOVERY)
        if not answer.ok:
            raise ClusterError(f"GET {place}: HTTP {answer.status}: {answer.message or answer.reason}")
        for group in answer.body.get("items", []):
            name, told = group["metadata"].get("name", ""), set()
            for version in group["versions"]:  # the preferred one comes first
                api_version = f"{name}/{version['version']}" if name else str(version["version"])
                if version.get("freshness") == _STALE and name not in _FIGURES:
                    silent.append(api_version)
                for resource in version.get("resources", []):
                    if "list" in resource["verbs"] and resource["resource"] not in told:
                        told.add(resource["resource"])
                        kind = str((resource.get("responseKind") or {}).get("kind", ""))
                        namespaced = resource["scope"] == "Namespaced"
                        kinds.append(ListedKind(api_version, kind, resource["resource"], namespaced))
    return Discovery(tuple(kinds), tuple(silent))
