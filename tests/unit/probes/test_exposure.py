"""What is open to the outside: which ports are asked for, and what counts as a page that everybody sees."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.agent.vantage import Answer, NetworkVantage, ask
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster, Node, Published
from pytest_k8ssec.controls.ext.ports import _published
from pytest_k8ssec.controls.ext.unauth_ui import _NO_PAGE, _behind_routes, _judged, _onward, _seen
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.probes.exposure import Opening, listener_here, on_node, opened_ports
from pytest_k8ssec.probes.web_pages import WebRoute
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import POD, FakeVantage, evidence

PAGE = Http("10.0.0.1", 30080, "/", tls=False)
LOGIN = '<form><input name="p" type="password"></form>'


class FakeApi:
    """Lists what it was given."""

    def __init__(self, **items: list[dict[str, Any]]) -> None:
        self.items = items

    def list(self, path: str) -> list[dict[str, Any]]:
        """Items by the path's last word."""
        return self.items.get(path.rpartition("/")[2], [])


class FakeCluster:
    """A cluster that only has an API."""

    def __init__(self, **items: list[dict[str, Any]]) -> None:
        self.api = FakeApi(**items)


@dataclass
class Silent:
    """A cluster of which one port is published; nothing that is asked from beside its nodes answers."""

    machine_address: str
    of_node: tuple[Published, ...] = (Published("127.0.0.1", 40001, 6443),)
    of_balancer: tuple[Published, ...] = ()

    @property
    def machine_addresses(self) -> tuple[str, ...]:
        """As the nodes' network has them."""
        return tuple(self.machine_address.split())

    def published(self, node: Node | None) -> tuple[Published, ...]:
        """The same of each node."""
        return self.of_node if node else self.of_balancer

    @property
    def nodes(self) -> list[Node]:
        """One."""
        return [Node("worker", "10.0.0.1", control_plane=False)]

    def in_network_of(self, _node: Node | None, argv: Sequence[str], *, deadline: float, stdin: bytes) -> Completed:
        """What an agent says that heard nothing."""
        told = json.loads(stdin.splitlines()[-1])
        said = [{"id": each["id"], "outcome": "no-answer"} for each in told["tasks"]] + [{"end": told["nonce"]}]
        return Completed(tuple(argv), 0, "\n".join(map(json.dumps, said)).encode(), b"")


@pytest.mark.parametrize(
    ("address", "why"),
    [("127.0.0.1", "a listener of ours on this machine is in reach"), ("192.0.2.1", "can't be listened on here")],
    ids=["hidden", "elsewhere"],
)
def test_what_is_published_is_not_closed_where_our_own_listener_is_not_in_reach(address: str, why: str) -> None:
    """Neither where a firewall hides it, nor where docker runs on another machine; what held besides changes nothing."""
    cluster, judge = cast("Cluster", Silent(address)), Judge()
    case = judge.case("node worker")
    case.attack("connect", evidence(), through=False)
    case.positive("the kubelet is in reach", evidence(Outcome.OPEN), succeeded=True)
    _published(judge, cluster, NetworkVantage(cluster, None), Declared(judge, {}), [])
    verdict, reason = judge.verdict()
    assert (Verdict.INCONCLUSIVE, True) == (verdict, why in reason)


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("127.0.0.1", "10.9.9.1"),
        ("0.0.0.0", "10.9.9.1"),
        ("::1", "fc00::1"),
        ("::", "fc00::1"),
        ("10.1.1.1", "10.1.1.1"),
    ],
)
def test_what_is_published_is_asked_by_its_own_family(host: str, asked: str) -> None:
    """What listens by IPv6 is closed by IPv4 to everybody, and says nothing there."""
    cluster, judge = cast("Cluster", Silent("10.9.9.1 fc00::1", (Published(host, 40001, 6443),))), Judge()
    _published(judge, cluster, NetworkVantage(cluster, None), Declared(judge, {}), [])
    (case,) = judge.cases
    shown = f"[{asked}]" if ":" in asked else asked
    assert [f"GET {scheme}://{shown}:40001/ without credentials" for scheme in ("http", "https")] == [
        each.evidence.request for each in case.attacks
    ]


def test_what_leads_to_the_load_balancer_is_asked_as_well() -> None:
    """Before several control planes it is what everybody reaches, and no node of the cluster's."""
    cluster = cast("Cluster", Silent("10.9.9.1", (), (Published("0.0.0.0", 40002, 6443),)))
    judge = Judge()
    _published(judge, cluster, NetworkVantage(cluster, None), Declared(judge, {}), [])
    assert ["port 40002 of this machine, published of the load balancer"] == [case.name for case in judge.cases]


def test_a_listener_of_ours_may_be_on_ipv6() -> None:
    """And is reached there."""
    with listener_here("::1") as ours, socket.create_connection((ours.host, ours.port), 5) as sock:
        assert ours.expect.encode() == sock.recv(64)


def http(status: int, body: str = "", location: str = "") -> Answer:
    """An HTTP answer."""
    return Answer(evidence(Outcome.HTTP, status=status), {"body": body, "location": location})


def named(name: str, **rest: Any) -> dict[str, Any]:
    """An object in namespace web."""
    return {"metadata": {"namespace": "web", "name": name}, **rest}


def test_node_ports_open_everywhere_and_host_ports_where_their_pod_runs() -> None:
    """UDP, Services without a node port and pods that run nowhere open nothing that a TCP connection could find.

    Nor does an init container that ends; one that goes on beside the others does.
    """
    services = [
        named(
            "shop",
            spec={"ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}]},
        ),
        named("inside", spec={"ports": [{"port": 80}]}),
    ]
    container = {"ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}
    beside = {"restartPolicy": "Always", "ports": [{"containerPort": 90, "hostPort": 8090}]}
    first = {"ports": [{"containerPort": 70, "hostPort": 8070}]}
    pods = [
        named("edge", spec={"nodeName": "worker", "containers": [container], "initContainers": [first, beside]}),
        named("pending", spec={"containers": [container]}),
    ]
    opened = opened_ports(cast("Cluster", FakeCluster(services=services, pods=pods)))
    on_worker = on_node(opened, Node("worker", "10.0.0.1", control_plane=False))
    assert {port: each.by for port, each in on_worker.items()} == {
        30080: "Service web/shop",
        8080: "Pod web/edge",
        8090: "Pod web/edge",
    }
    assert [30080] == [*on_node(opened, Node("other", "10.0.0.2", control_plane=False))]


def test_what_opens_a_port_can_be_named() -> None:
    """A node port's number may be by chance, and a pod's name is; one port of a Service can be told from the others."""
    ports = [{"port": 80, "name": "http", "nodePort": 31234}, {"port": 9090, "nodePort": 31235}]
    replica_set = {"kind": "ReplicaSet", "name": "edge-5f6"}
    meta = {
        "namespace": "web",
        "name": "edge-5f6-x",
        "labels": {"pod-template-hash": "5f6"},
        "ownerReferences": [replica_set],
    }
    container = {"ports": [{"containerPort": 80, "hostPort": 8080}]}
    pod = {"metadata": meta, "spec": {"nodeName": "worker", "containers": [container]}}
    cluster = FakeCluster(services=[named("shop", spec={"ports": ports})], pods=[pod])
    http_port, metrics, host_port = opened_ports(cast("Cluster", cluster))
    assert {"web/shop", "Service web/shop", "web/shop:80", "Service web/shop:http"} < {*http_port.names}
    assert "web/shop:9090" in metrics.names
    assert "web/shop:http" not in metrics.names
    assert {"Pod web/edge-5f6-x", "Deployment web/edge", "web/edge:8080", "ReplicaSet web/edge-5f6"} < {
        *host_port.names
    }


def test_a_port_that_two_ask_for_is_declared_by_both() -> None:
    """An exception of one of them says nothing of what the other opens there."""
    pods = [
        named(name, spec={"nodeName": "worker", "containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}]}]})
        for name in ("shop", "debug")
    ]
    opened = opened_ports(cast("Cluster", FakeCluster(pods=pods)))
    opening = on_node(opened, Node("worker", "10.0.0.1", control_plane=False))[8080]
    assert "Pod web/shop and Pod web/debug" == opening.by
    for allowed, expected in (
        (["web/shop"], False),
        (["web/shop", "Pod web/debug:8080"], True),
        (["8080"], True),
        ([], False),
    ):
        assert expected is opening.is_declared(Declared(Judge(), dict.fromkeys(allowed, "why")))


def test_a_kubelet_has_no_page_at_its_root() -> None:
    """There 404 is all that it says; elsewhere the page may be at another path."""
    nothing = http(404)
    assert _seen(PAGE, nothing, _NO_PAGE) is False
    assert _seen(PAGE, nothing) is None


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (http(401), False),
        (http(403), False),
        (http(404), None),
        (http(405), None),
        (http(429), None),
        (http(400, "Client sent an HTTP request to an HTTPS server.\n"), False),
        (http(400, "<center>The plain HTTP request was sent to HTTPS port</center>"), False),
        (http(400, "malformed Host header"), None),
        (http(302, location="https://login.example/"), False),
        (http(302, location="/more"), None),
        (http(503), None),
        (Answer(evidence(Outcome.CLOSED), {}), False),
        (Answer(evidence(Outcome.NO_ANSWER), {}), None),
    ],
)
def test_a_page_is_seen_unless_it_refuses_asks_or_sends_elsewhere(answer: Answer, seen: bool | None) -> None:
    """What answers in no way that says anything leaves it open."""
    assert _seen(PAGE, answer) is seen


def test_over_tls_nobody_is_told_to_speak_tls() -> None:
    """A 400 there, whatever its words, is no refusal."""
    answer = http(400, "Client sent an HTTP request to an HTTPS server.")
    assert _seen(replace(PAGE, tls=True), answer) is None


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/ui/?a=1", "/ui/?a=1"),
        ("http://10.0.0.1:30080/ui", "/ui"),
        ("https://10.0.0.1:30080/ui", None),
        ("//elsewhere.example/ui", None),
    ],
)
def test_redirections_are_followed_only_within_the_same_place(location: str, path: str | None) -> None:
    """Nothing is ever sent to where an answer points, but to the place that was to be asked."""
    onward = _onward(PAGE, http(301, location=location))
    assert path == (onward.path if onward else None)


@dataclass
class Site:
    """A place beside the nodes, from where one site is seen: its answers by host name (none: its address) and path."""

    pages: dict[tuple[str, str], dict[str, Any]]
    otherwise: dict[str, Any]
    source: Source = POD

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """What the agent is told there."""
        return FakeVantage(self._said).execute(argv, stdin, deadline)

    def _said(self, task: dict[str, Any]) -> dict[str, Any]:
        told = self.pages.get((task["headers"].get("Host", ""), task["path"]), self.otherwise)
        return {"outcome": "http", **told} if "outcome" not in told else told


NOT_THERE = {"status": 404, "body": "default backend - 404"}
NOT_FOUND = {"status": 404, "body": "<h1>Not Found</h1>"}
OPEN_PAGE = {"status": 200, "body": "<h1>all pods</h1>"}
APPLICATION = {"status": 200, "body": "<body><script src=a.js></script></body>"}
DASHBOARDS = {"status": 200, "body": "<script>window.grafanaBootData = {}</script>"}
TO_LOGIN = {"status": 302, "location": "/login"}
TO_AUTH = {"status": 302, "location": "/auth/pods"}


@pytest.mark.parametrize(
    ("pages", "seen", "words"),
    [
        ({"/": OPEN_PAGE}, True, ""),
        ({"/": {"status": 200, "body": LOGIN}}, False, ""),
        ({"/": TO_LOGIN, "/login": DASHBOARDS}, False, ""),
        ({"/": TO_LOGIN, "/login": APPLICATION}, False, ""),
        ({"/": {"status": 302, "location": "/ui"}, "/ui": APPLICATION}, None, "nobody could tell what it shows"),
        ({"/": {"status": 302, "location": "/ui"}, "/ui": OPEN_PAGE}, True, ""),
        ({"/": APPLICATION}, None, "nobody could tell what it shows"),
        ({"/": DASHBOARDS, "/api/org": {"status": 401}}, False, "the API of Grafana"),
        (
            {"/": DASHBOARDS, "/api/org": {"status": 200, "body": '{"id": 1, "name": "Main Org."}'}},
            True,
            "the API of Grafana",
        ),
        ({"/": DASHBOARDS, "/api/org": {"status": 200, "body": "{}"}}, None, "the API of Grafana"),
        (
            {"/": TO_LOGIN, "/login": DASHBOARDS, "/api/org": {"status": 200, "body": '{"name": "x"}'}},
            True,
            "the API of",
        ),
        ({"/": {"status": 200, "body": f"{LOGIN}{'all pods ' * 100}"}}, None, "such a form and much else"),
        ({"/": TO_LOGIN, "/login": {"status": 200, "body": "<a href=/oauth2/start>Sign in</a>"}}, False, ""),
        ({"/": TO_AUTH, "/auth/pods": {"status": 200, "body": "all pods " * 100}}, None, "such a form and much else"),
        ({"/": DASHBOARDS}, None, "the API of Grafana"),
        ({"/": DASHBOARDS, "/api/org": DASHBOARDS}, None, "the API of Grafana"),
        (
            {"/": {"status": 302, "location": "/g/"}, "/g/": DASHBOARDS, "/api/org": {"status": 401}},
            None,
            "the API of Grafana",
        ),
        (
            {"/": {"status": 302, "location": "/g/"}, "/g/": DASHBOARDS, "/g/api/org": {"status": 401}},
            False,
            "the API of Grafana",
        ),
    ],
    ids=[
        "open",
        "password",
        "grafana",
        "login",
        "unknown-ui",
        "ui",
        "unknown",
        "refuses",
        "anonymous",
        "nothing-given",
        "anonymous-beside-a-login",
        "form-among-others",
        "ways-to-log-in",
        "named-like-a-login",
        "odd",
        "page-for-all",
        "another-s-refusal",
        "below-a-path",
    ],
)
def test_an_application_is_judged_by_what_its_server_gives(
    pages: dict[str, dict[str, Any]], seen: bool | None, words: str
) -> None:
    """Its page shows neither what everybody gets, nor that it asks for a login; of one that nobody knows nothing is known."""
    site = cast("NetworkVantage", Site({("", path): page for path, page in pages.items()}, NOT_FOUND))
    (answer,) = ask(site, [PAGE])
    found, through = _judged(site, PAGE, answer, (401, 403))
    assert seen is through
    assert words in found.detail


SHOP = WebRoute("web/shop", "shop.example.com", "/")


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize(
    ("pages", "otherwise", "expected"),
    [
        ({}, NOT_THERE, [False]),
        ({"shop.example.com": {"status": 404, "body": "no such product"}}, NOT_THERE, [False, None]),
        ({"shop.example.com": {"outcome": "no-answer"}}, NOT_THERE, [False, None]),
        ({}, NOT_FOUND, [None]),
        ({"shop.example.com": OPEN_PAGE}, NOT_FOUND, [False, True]),
        ({"shop.example.com": {"status": 200, "body": LOGIN}}, NOT_FOUND, [False, False]),
        ({"shop.example.com": {"status": 302, "location": "http://shop.example.com/login"}}, NOT_THERE, [False, None]),
        ({"shop.example.com": {"status": 302, "location": "https://shop.example.com/"}}, NOT_FOUND, [False, False]),
        ({"": NOT_FOUND, "shop.example.com": OPEN_PAGE}, OPEN_PAGE, [None, True]),
        ({"": NOT_FOUND, "shop.example.com": {"status": 403}}, OPEN_PAGE, [None, True, False]),
    ],
    ids=[
        "default-backend",
        "a-site-s-404",
        "silent",
        "no-ingress",
        "a-page",
        "a-login",
        "redirected",
        "to-tls",
        "any-host",
        "no-ingress-s-404",
    ],
)
def test_an_ingress_has_the_pages_of_its_routes(
    pages: dict[str, dict[str, Any]], otherwise: dict[str, Any], expected: list[bool | None], public: bool
) -> None:
    """That it has none for whoever names no host is no secret kept; what it leads to is asked for by name.

    What is declared public is no attack, and shows all the same that it is an ingress.
    """
    site = cast("NetworkVantage", Site({(host, "/"): page for host, page in pages.items()}, otherwise))
    judge = Judge()
    case = judge.case("Pod ingress/controller")
    (answer,) = ask(site, [PAGE])
    _behind_routes(judge, case, site, PAGE, "in plain text", answer if not pages.get("") else http(404), {SHOP: public})
    if public and pages.get(SHOP.host, otherwise) != otherwise:
        expected = expected[:-1]
    assert expected == [each.through for each in case.attacks]


@pytest.mark.parametrize(
    ("shop", "expected"),
    [(OPEN_PAGE, [False, True]), ({"status": 401}, [False, False]), ({"outcome": "tls-alert"}, [None])],
)
def test_an_ingress_may_refuse_tls_to_whoever_names_no_host(shop: dict[str, Any], expected: list[bool | None]) -> None:
    """Whom its certificates are for is asked for in TLS too; where nobody is answered, it can't be told what is there."""
    site = cast("NetworkVantage", Site({("shop.example.com", "/"): shop}, {"outcome": "tls-alert"}))
    judge, page = Judge(), replace(PAGE, tls=True)
    case = judge.case("Pod ingress/controller")
    (answer,) = ask(site, [page])
    _behind_routes(judge, case, site, page, "over TLS", answer, {SHOP: False})
    assert expected == [each.through for each in case.attacks]


def test_a_listener_of_ours_greets_with_its_nonce() -> None:
    """Whoever connects reads the nonce that the task expects; afterwards nothing listens any more."""
    with listener_here("127.0.0.1") as task, socket.create_connection((task.host, task.port), timeout=60) as connection:
        assert connection.recv(64).decode() == task.expect
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((task.host, task.port), timeout=60)


def test_what_opens_a_port_can_be_waived_by_each_of_its_names() -> None:
    """Of two that ask for it each by its own, or both by its number; a port that nobody asks for by that alone."""
    port = {"port": 80, "name": "http", "nodePort": 30080}
    service = {"metadata": {"namespace": "web", "name": "shop"}, "spec": {"ports": [port]}}
    cluster = cast("Cluster", FakeCluster(services=[service]))
    (opening,) = on_node(opened_ports(cluster), Node("n", "10.0.0.1", control_plane=False)).values()
    (names,) = opening.used
    assert {"web/shop", "Service web/shop", "web/shop:80", "Service web/shop:http", "30080"} <= set(names)
    assert Opening(2049).used == (("2049",),)


def test_a_port_of_udp_has_names_of_its_own() -> None:
    """Who waives, or allows, the port of TCP has not looked at that of UDP; the Service's bare name stands for both."""
    ports = [{"port": 53, "name": each, "nodePort": 30053, "protocol": each.upper()} for each in ("tcp", "udp")]
    service = {"metadata": {"namespace": "web", "name": "dns"}, "spec": {"ports": ports}}
    cluster = cast("Cluster", FakeCluster(services=[service]))
    node = Node("n", "10.0.0.1", control_plane=False)
    names = {}
    for protocol in ("TCP", "UDP"):
        (opening,) = on_node(opened_ports(cluster, protocol), node, protocol).values()
        names[protocol] = set(opening.used[0])
    assert {"web/dns", "Service web/dns"} == names["TCP"] & names["UDP"]
    assert {"web/dns:53/UDP", "30053/UDP"} <= names["UDP"]
    assert {"web/dns:53", "30053"} <= names["TCP"]
