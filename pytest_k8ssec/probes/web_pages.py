"""What a page without credentials is: content, a question for a login, or an application whose API has to be asked.

A program that a browser runs shows nothing in its HTML: neither what it gives to everybody, nor that it asks for a login.
What its server gives is told by the server's own API.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import as_probe_error

_PASSWORD = re.compile(r"""type\s*=\s*["']?password\b""", re.IGNORECASE)
_SCRIPT = re.compile(r"<script\b", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<(head|script|style|noscript|template)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)|<[^>]*>", re.IGNORECASE | re.DOTALL
)
_LITTLE = 120
"""An application's page says no more than this before its program runs: a name, and that it is loading."""
_SOME = 600
"""A page for a login says no more than this beside its form: a name, a greeting, what its operator has to say."""
_LOGIN = re.compile(r"(^|/)(log-?in|log-?on|sign-?in|sso|saml|oauth2?|oidc|auth)(/|\?|\.|$)", re.IGNORECASE)
_PAGES = re.compile(r"(/(login|query|graph|search|dashboard|applications))?/?$")
"""Where the known applications' first pages are, below the path that they are served under."""
_INGRESSES = "/apis/networking.k8s.io/v1/ingresses"


class PageKind(StrEnum):
    """What a page that came with a status of 2xx shows by itself."""

    CONTENT = "content"
    LOGIN = "login"
    """It asks for a password, and says little else."""
    MIXED = "mixed"
    """It asks for a password, for a login or for another use, and says much beside."""
    APPLICATION = "application"
    """Next to nothing, and a program for the browser."""


@dataclass(frozen=True, slots=True)
class KnownApplication:
    """One whose page is known, and a path of its API that needs what its pages need."""

    name: str
    words: re.Pattern[str]
    """What its page has."""
    api: str
    gives: re.Pattern[str]
    """What the API's answer has where it gives something: a list of nothing is no leave to see anything."""


_APPLICATIONS = (
    # https://grafana.com/docs/grafana/latest/developers/http_api/org/ (200 where anonymous access is on)
    KnownApplication("Grafana", re.compile("grafanaBootData"), "/api/org", re.compile(r'"name"\s*:')),
    # https://argo-cd.readthedocs.io/en/stable/developer-guide/api-docs/
    KnownApplication(
        "Argo CD",
        re.compile(r"<title>\s*Argo CD", re.IGNORECASE),
        "/api/v1/applications",
        re.compile(r'"(items|metadata)"\s*:'),
    ),
    # https://github.com/kubernetes-retired/dashboard (v2)
    KnownApplication(
        "Kubernetes Dashboard",
        re.compile(r"<title>\s*Kubernetes Dashboard"),
        "/api/v1/namespace",
        re.compile(r'"objectMeta"\s*:'),
    ),
    # https://prometheus.io/docs/prometheus/latest/querying/api/
    KnownApplication(
        "Prometheus", re.compile(r"<title>\s*Prometheus"), "/api/v1/status/buildinfo", re.compile(r'"success"')
    ),
    # https://longhorn.io/docs/ (the UI has no login of its own)
    KnownApplication("Longhorn", re.compile(r"<title>\s*Longhorn"), "/v1/volumes", re.compile(r'"data"\s*:')),
    # https://www.jaegertracing.io/docs/latest/apis/
    KnownApplication("Jaeger", re.compile(r"<title>\s*Jaeger UI"), "/api/services", re.compile(r'"data"\s*:')),
)


def page_kind(body: str) -> PageKind:
    """What a page shows by itself.

    Args:
        body: its beginning, as text; what is no HTML is content.
    """
    if known_application(body):
        return PageKind.APPLICATION
    if _PASSWORD.search(body):
        return PageKind.LOGIN if says_little(body) else PageKind.MIXED
    if _SCRIPT.search(body) and _says(body) < _LITTLE:
        return PageKind.APPLICATION
    return PageKind.CONTENT


def says_little(body: str) -> bool:
    """Whether a page says no more than one that asks who is there, such as one with a button for each way to log in."""
    return _says(body) < _SOME


def _says(body: str) -> int:
    """How many characters a reader sees of it."""
    return len(" ".join(_UNSEEN.sub(" ", body).split()))


def known_application(body: str) -> KnownApplication | None:
    """The application whose page it is, None where nobody here knows it."""
    return next((each for each in _APPLICATIONS if each.words.search(body)), None)


def is_login(path: str) -> bool:
    """Whether a path is named after a login."""
    return _LOGIN.search(path) is not None


def base_path(path: str) -> str:
    """The path that an application is served under, by that of a page of its; "" for the root."""
    return _PAGES.sub("", path.partition("?")[0])


@dataclass(frozen=True, slots=True)
class WebRoute:
    """What an Ingress leads from: a host and a path."""

    ingress: str
    """``namespace/name``."""
    host: str
    """"" for every one."""
    path: str

    def __str__(self) -> str:
        return f"{self.host or '*'}{self.path} (Ingress {self.ingress})"


def _ways(rule: Body) -> Sequence[Body]:
    return (rule.get("http") or {}).get("paths") or [{}]


def ingress_routes(api: KubeApi) -> list[WebRoute]:
    """What the cluster's Ingresses lead from; a wildcard's first label is ours, and an expression's path what it begins with.

    Raises:
        ProbeError: the API server did not list them.
    """
    with as_probe_error():
        found = api.list(_INGRESSES)
    return [
        WebRoute(
            f"{each['metadata']['namespace']}/{each['metadata']['name']}",
            (rule.get("host") or "").replace("*", "k8ssec", 1),
            literal.group() if (literal := re.match(r"/[\w./~%-]*", str(way.get("path") or "/"))) else "/",
        )
        for each in found
        for rule in each["spec"].get("rules") or ()
        for way in _ways(rule)
    ]
