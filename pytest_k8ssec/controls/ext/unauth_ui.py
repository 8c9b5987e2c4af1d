"""No page that the cluster opens to the outside can be seen without a login.

Dashboards without a login, opened by a node port for a moment and then forgotten, have been the way in more often than
any exploit: who finds the page has the rights of its service account. The start page of every port that Services and pods
open on the nodes, of each API server and of each kubelet is asked for without credentials, in plain text and over TLS, from
a container beside the nodes. A page counts as open. These do not: a refusal (401, 403), a page that is little more than a form
for a password, a redirection to another place or to a login, and the message that plain HTTP was sent to a TLS port. A page that
has such a form beside much else may be either. Of an application that a browser runs, the page shows neither: its API is asked,
where it is one that is known (Grafana, Argo CD, Prometheus and others).
After any other answer, such as 404, it can't be told what other pages show; a kubelet is the exception, as it has no page at
its root. So is an ingress controller, which has pages for the hosts and paths of Ingresses alone: those are asked for by
their names, in HTTP and in TLS. Redirections to the same place are followed.

A public site is declared, with the reason, in `[tool.k8ssec.allow.ext-unauth-ui]` as `"30080" = "the shop"`, or by what
opens it, as `"web/shop"` or `"Service web/shop:http"`; one behind an ingress as `"Ingress web/shop"`. Addresses of load
balancers are not asked: they may be out on the internet.

Remediation: put an authenticating proxy before a page that has no login of its own, give its Service type ClusterIP,
and look at it with `kubectl port-forward`.

```yaml
# look at it with: kubectl port-forward service/dashboard 8080:80
apiVersion: v1
kind: Service
metadata:
  name: dashboard
spec:
  type: ClusterIP
  selector: {app.kubernetes.io/name: dashboard}
  ports:
    - port: 80
      targetPort: 8080
```

Sources: https://kubernetes.io/docs/tasks/access-application-cluster/web-ui-dashboard/
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from pytest_k8ssec.agent.tasks import Http, Tcp, host_and_port
from pytest_k8ssec.agent.vantage import Answer, NetworkVantage, ask, probe
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import API_SERVER_PORT, KUBELET_PORT
from pytest_k8ssec.evidence import Evidence, Facts, Outcome
from pytest_k8ssec.evidence.causes import Known
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.exposure import Opening, on_node, opened_ports, openers
from pytest_k8ssec.probes.identities import auditor
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.probes.web_pages import (
    KnownApplication,
    PageKind,
    WebRoute,
    base_path,
    ingress_routes,
    is_login,
    known_application,
    page_kind,
    says_little,
)
from pytest_k8ssec.sabotages.exposed_port import exposed
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Case, Judge

_KEEP = 64 * 1024
_HOPS = 3
_DEFAULT_BACKEND = re.compile(r"default backend", re.IGNORECASE)
_UNCLEAR = "a page for a login, or one that has such a form and much else: nobody could tell what needs the login"
_UNKNOWN = "an application that a browser runs, and of none that is known here: nobody could tell what it shows"
_GIVEN, _REDIRECTIONS, _REFUSED = range(200, 300), range(300, 400), (401, 403)
_KUBELET = "kubelet"
_API_SERVER = "API server"
_OF_THE_CLUSTER = (_KUBELET, _API_SERVER)
"""What is no ingress."""
_START = "/"
_NO_PAGE = (*_REFUSED, 404)
"""What a kubelet says at its root, where it has nothing, to whoever asks: what it tells elsewhere is kubelet-anon's."""
_TLS_ONLY = re.compile(
    "sent an HTTP request to an HTTPS server"  # Go: the API server and the kubelet among others
    "|plain HTTP request was sent to HTTPS port"  # nginx
    "|speaking plain HTTP to an SSL-enabled server port"  # Apache
    "|combination of host and port requires TLS"  # Tomcat
)


@control(
    severity=Severity.HIGH,
    subject="cluster",
    others=("KHV029", "KHV049", "C-0014", "C-0021", "MS-TA9005"),
    dimensions=("address", "port", "protocol", "page"),
    blames=(Known,),
)
def test_ext_unauth_ui(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - what a stack opens is judged too, so it has to be there
    pool: Pool,
    outside: NetworkVantage,
    allowed: Mapping[str, str],
) -> None:
    """Ask each port that is open for its start page, without credentials."""
    declared = Declared(judge, allowed, "public")
    given, plain = _proofs(cluster, pool, outside)
    routes = {each: declared.covers(*_names(each)) for each in ingress_routes(cluster.api)}
    endpoints = _endpoints(cluster, nodes_to_judge(judge, pool), declared)
    _exist(judge, endpoints, routes)
    for (host, port), (by, used) in endpoints.items():
        there, *answers = ask(outside, [Tcp(host, port), *(_page(host, port, tls=tls) for tls in (False, True))])
        case = judge.case(f"{by} at {host_and_port(host, port)}", required=False, causes=openers(by))
        case.positive("it is open", there.evidence, succeeded=there.evidence.outcome is Outcome.OPEN)
        # Without these two nothing is known of any port: never a reason to leave one out.
        case.positive("a page that may be seen is seen from there", given, succeeded=given.status == 200 or None)
        case.positive("plain HTTP gets out of there", plain, succeeded=plain.outcome is Outcome.HTTP or None)
        refused = _NO_PAGE if by == _KUBELET else _REFUSED
        for tls, answer in zip((False, True), answers, strict=True):
            page, where = _page(host, port, tls=tls), "over TLS" if tls else "in plain text"
            ingress = by not in _OF_THE_CLUSTER
            # An ingress may refuse whoever names no host of its own.
            nameless = answer.evidence.outcome is Outcome.TLS_ALERT
            if not (ingress and (answer.evidence.status == 404 or (routes and nameless))):
                last, through = _judged(outside, page, answer, refused)
                case.attack(f"see its page {where}", last, through=through, at=_at(page), used=used)
            if ingress and (answer.evidence.status == 404 or (routes and (answer.evidence.status or nameless))):
                _behind_routes(judge, case, outside, page, where, answer, routes)
            elif ingress:
                _absent(
                    judge, page, (route for route, public in routes.items() if not public), "nothing here speaks HTTP"
                )
    declared.tell_unused()


class _Place(NamedTuple):
    """What may show a page."""

    by: str
    used: tuple[tuple[str, ...], ...]
    """What opens it, by the names that a waiver may have for it."""


def _exist(judge: Judge, endpoints: Mapping[tuple[str, int], _Place], routes: Mapping[WebRoute, bool]) -> None:
    """Say what there is to ask for: the start page of each place, and where an ingress may be each route that is not public.

    Args:
        routes: whether each is declared public.
    """
    for ((host, port), (by, _)), tls in product(endpoints.items(), (False, True)):
        page = _page(host, port, tls=tls)
        judge.coverage.exists(**_at(page))
        for route, public in routes.items() if by not in _OF_THE_CLUSTER else ():
            if not public:
                judge.coverage.exists(**_at(page, route))


def _absent(judge: Judge, page: Http, routes: Iterable[WebRoute], why: str) -> None:
    for route in routes:
        judge.coverage.absent(why, **_at(page, route))


def _at(page: Http, route: WebRoute | None = None) -> Facts:
    """Where a page is, in the control's dimensions: the start page, or that of a route."""
    protocol = "HTTPS" if page.tls else "HTTP"
    return {"address": page.host, "port": page.port, "protocol": protocol, "page": route or _START}


def _behind_routes(
    judge: Judge,
    case: Case,
    outside: NetworkVantage,
    page: Http,
    where: str,
    answer: Answer,
    routes: Mapping[WebRoute, bool],
) -> None:
    """What a place has for the hosts and paths of Ingresses.

    Where some of them have an answer that a host has not which nobody named, the place is an ingress: without a page at its
    root it has no other pages.

    Args:
        routes: whether each is declared public.
    """
    name = secrets.token_hex(4)
    nowhere = _of_host(replace(page, path=f"/{name}"), f"{name}.invalid")
    asked = [_of_host(replace(page, path=each.path), each.host) for each in routes]
    nobody, *answers = ask(outside, [nowhere, *asked])
    found = [
        (route, task, one)
        for route, task, one in zip(routes, asked, answers, strict=True)
        if _told(one) != _told(nobody)
    ]
    default = _DEFAULT_BACKEND.search(str(answer.raw.get("body", "")))
    turned_away = nobody.evidence.status == 404 or nobody.evidence.outcome is Outcome.TLS_ALERT
    routed = turned_away and bool(found or default)
    told = (
        replace(answer.evidence, detail="an ingress without a page for whoever names no host")
        if routed
        else answer.evidence
    )
    rootless = answer.evidence.status == 404 or answer.evidence.outcome is Outcome.TLS_ALERT
    if rootless:
        case.attack(f"see its page {where}", told, through=False if routed else None, at=_at(page))
    if rootless and not turned_away:
        last, through = _judged(outside, nowhere, nobody, _REFUSED)
        case.attack(f"see the page of a host that nobody named {where}", last, through=through)
    for route, task, one in found:
        if not routes[route]:
            last, through = _judged(outside, task, one, _REFUSED)
            what, used = f"see the page of {route} {where}", [_names(route)]
            case.attack(what, last, through=through, at=_at(page, route), used=used)
    led_to = {route for route, *_ in found}
    others = (route for route, public in routes.items() if not public and route not in led_to)
    _absent(judge, page, others, "answers as to a host that nobody named")


def _of_host(page: Http, host: str) -> Http:
    """The page of a host, which is named in HTTP and in TLS; "" for none."""
    return replace(page, headers={"Host": host}, server_name=host) if host else page


def _told(answer: Answer) -> tuple[Outcome, int | None, str]:
    return answer.evidence.outcome, answer.evidence.status, str(answer.raw.get("body", ""))


def _judged(
    outside: NetworkVantage, page: Http, answer: Answer, refused: Collection[int]
) -> tuple[Evidence, bool | None]:
    """The answer that redirections lead to, or that the API of a known application gives; and whether a page is seen."""
    last, found = _followed(outside, page, answer)
    if found.evidence.status not in _GIVEN:
        return found.evidence, _seen(last, found, refused)
    body, sent = str(found.raw.get("body", "")), last.path != page.path and is_login(last.path)
    kind, known = page_kind(body), known_application(body)
    if known is not None:
        told, seen = _by_api(outside, last, known)
        return told, False if sent and seen is None else seen
    if kind is PageKind.LOGIN or (sent and (kind is PageKind.APPLICATION or says_little(body))):
        return found.evidence, False
    if kind is PageKind.CONTENT and not sent:
        return found.evidence, True
    detail = _UNKNOWN if kind is PageKind.APPLICATION else _UNCLEAR
    return replace(found.evidence, detail=detail), None


def _by_api(outside: NetworkVantage, page: Http, known: KnownApplication) -> tuple[Evidence, bool | None]:
    """What the API of an application gives, and whether that is anything; None where it answers in no way that is known."""
    (said,) = ask(outside, [replace(page, path=base_path(page.path) + known.api)])
    status, body = said.evidence.status, str(said.raw.get("body", ""))
    if status in _GIVEN:
        # A page once more shows nothing: what serves it has that for every path.
        seen = True if known.gives.search(body) and not body.lstrip().startswith("<") else None
    else:
        seen = False if status in _REFUSED else None
    return replace(said.evidence, detail=f"what the API of {known.name} gives"), seen


def _proofs(cluster: Cluster, pool: Pool, outside: NetworkVantage) -> list[Evidence]:
    """What an authorised client gets from the API server, and what the same port says to plain HTTP."""
    bearer = auditor(pool).bearer
    host = next(node.address for node in cluster.nodes if node.control_plane)
    version = Http(host, API_SERVER_PORT, "/version", headers=bearer, identity="as our auditor")
    return probe(outside, [version, Http(host, API_SERVER_PORT, "/", tls=False)])


def _names(route: WebRoute) -> tuple[str, ...]:
    namespace, _, name = route.ingress.partition("/")
    # Without the short ones, which are a Service's or a workload's of that name.
    names = object_names("Ingress", namespace, name, [f":{route.host}{route.path}"])
    return tuple(each for each in names if each.startswith("Ingress "))


def _endpoints(cluster: Cluster, nodes: Sequence[Node], declared: Declared) -> dict[tuple[str, int], _Place]:
    """Address and port of whatever may show a page, and what it is."""
    opened = opened_ports(cluster)
    found: dict[tuple[str, int], _Place] = {}
    for node in nodes:
        ports = on_node(opened, node)
        by = {port: opening.by for port, opening in ports.items()} | {KUBELET_PORT: _KUBELET}
        if node.control_plane:
            by[API_SERVER_PORT] = _API_SERVER
        meant = {port for port in by if ports.get(port, Opening(port)).is_declared(declared)}
        found |= {
            (address, port): _Place(what, ports.get(port, Opening(port)).used)
            for address in node.addresses
            for port, what in by.items()
            if port not in meant
        }
    return found


def _page(host: str, port: int, *, tls: bool) -> Http:
    return Http(host, port, "/", tls=tls, keep=_KEEP)


def _followed(outside: NetworkVantage, page: Http, answer: Answer) -> tuple[Http, Answer]:
    """Go on to where redirections within the same place lead to; the last page that was asked for, and its answer."""
    for _ in range(_HOPS):
        onward = _onward(page, answer)
        if onward is None:
            break
        page, (answer,) = onward, ask(outside, [onward])
    return page, answer


def _onward(page: Http, answer: Answer) -> Http | None:
    """The page that a redirection names, where that is in the same place."""
    if answer.evidence.status not in _REDIRECTIONS:
        return None
    scheme, named = "https" if page.tls else "http", page.headers.get("Host", "")
    here = {host_and_port(page.host, page.port), *((named, f"{named}:{page.port}") if named else ())}
    base = f"{scheme}://{named or host_and_port(page.host, page.port)}{page.path}"
    target = urlsplit(urljoin(base, str(answer.raw.get("location", ""))))
    if target.scheme != scheme or target.netloc not in here:
        return None
    return replace(page, path=(target.path or "/") + (f"?{target.query}" if target.query else ""))


def _seen(page: Http, answer: Answer, refused: Collection[int] = _REFUSED) -> bool | None:
    """What speaks no HTTP, or refuses, or sends elsewhere, shows no page.

    That there is no such page (404), or that it wants to be asked in another way, says nothing of the other pages.
    """
    status = answer.evidence.status
    if status is None:
        return False if answer.evidence.outcome in (Outcome.CLOSED, Outcome.TLS_ALERT) else None
    if status in _REDIRECTIONS:
        return False if _onward(page, answer) is None else None
    if status == 400 and not page.tls:
        return False if _TLS_ONLY.search(str(answer.raw.get("body", ""))) else None
    return False if status in refused else None


@sabotage(test_ext_unauth_ui, kills=("ext-ports",))
def open_page(cluster: Cluster, pool: Pool) -> Iterator[Evidence]:
    """A pod opens a web server without a login by a host port."""
    with exposed(cluster, pool, host_port=True) as answer:
        yield answer
