"""Several API servers are asked one by one, by the same credentials; those that do not answer are told."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from pytest_k8ssec.clusters.api import KubeApi, Response
from pytest_k8ssec.clusters.api_servers import api_servers
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.verdict import Judge, Verdict

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster

URL = "https://127.0.0.1:40123"


@dataclass
class Api:
    """A client; some URLs answer nobody."""

    server: str = URL
    silent: frozenset[str] = frozenset()

    def at(self, server: str) -> Api:
        """The same elsewhere."""
        return Api(server, self.silent)

    def call(self, method: str, path: str, *, deadline: float) -> Response:
        """Whether it lives."""
        assert ("GET", "/livez", True) == (method, path, deadline < 10)
        if self.server in self.silent:
            raise ClusterError(f"GET {self.server}/livez: no answer")
        return Response(200, {}, 1.0)


@dataclass
class OneCluster:
    """With as many control planes as told."""

    control_planes: int
    api: Api = field(default_factory=Api)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """And a worker."""
        made = [Node(f"cp{number}", f"fd00::{number}", control_plane=True) for number in range(self.control_planes)]
        return (*made, Node("worker", "10.0.0.9", control_plane=False))

    def servers(self) -> dict[str, str]:
        """What is asked, by name."""
        found, _ = api_servers(cast("Cluster", self))
        return {each.name: each.api.server + each.words for each in found}


def test_a_single_one_is_asked_as_ever() -> None:
    """By the cluster's own URL, which may be the only way to it."""
    assert {"cp0": URL} == OneCluster(1).servers()
    assert {URL: URL} == OneCluster(0).servers()


def test_several_are_asked_one_by_one() -> None:
    """At their nodes' addresses, and each is told from the others."""
    assert {f"cp{number}": f"https://[fd00::{number}]:6443 at the API server on cp{number}" for number in range(3)} == (
        OneCluster(3).servers()
    )


@pytest.mark.parametrize("silent", [(1,), (0, 1, 2)])
def test_those_that_do_not_answer_are_one_case_that_is_not_held(silent: tuple[int, ...]) -> None:
    """Nobody knows what they would say; one behind the balancer may still show a breach."""
    api = Api(silent=frozenset(f"https://[fd00::{number}]:6443" for number in silent))
    judge, cluster = Judge(), OneCluster(3, api)
    found = servers_to_judge(judge, cast("Cluster", cluster))
    assert (2 if len(silent) == 1 else 1) == len(found)
    verdict, why = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    names = ", ".join(f"cp{number}" for number in silent)
    assert f"{len(silent)} API servers that can't be asked by themselves: {names}" in why
    assert "no answer" in why


@pytest.mark.parametrize("proxy", ["", "http://proxy.example:3128"])
def test_a_client_of_another_one_has_its_own_connections(tmp_path: Path, proxy: str) -> None:
    """The same credentials and CA, and by the kubeconfig's proxy only."""
    cluster: dict[str, Any] = {"server": URL, "certificate-authority-data": base64.b64encode(b"CA").decode()}
    if proxy:
        cluster["proxy-url"] = proxy
    document = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "ours"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    first = KubeApi(path)
    other = first.at("https://10.0.0.2:6443")
    assert (URL, "https://10.0.0.2:6443") == (first.server, other.server)
    assert first.ca_file == other.ca_file
    assert first._authorization() == other._authorization()
    assert first._client is not other._client
    went = (other._configuration.proxy, other._configuration.no_proxy)
    assert went == ((proxy, "none.invalid") if proxy else ("https://10.0.0.2:6443", "10.0.0.2"))
