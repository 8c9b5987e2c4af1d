"""The parts of the toolchain that decide: what has to be built, and what is put beside a main package."""

from __future__ import annotations

import importlib.util
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine import tools
from pytest_k8ssec.machine.process import run
from pytest_k8ssec.machine.tools import Image, Tool
from toolchain import golang
from toolchain.binaries import PROVIDER, binaries
from toolchain.embed import Embedded
from toolchain.errors import ToolchainError
from toolchain.load_balancer_image import PROGRAM, balancer_ref
from toolchain.node_files import OURS
from toolchain.plan import plan
from toolchain.wanted import has_to_be_built


def test_what_a_main_embeds_is_put_beside_it(tmp_path: Path) -> None:
    """One file as it is, the other with the program's version: without it a language host can't tell what it has."""
    module, into = tmp_path / "module", tmp_path / "into"
    (module / "cmd").mkdir(parents=True)
    into.mkdir()
    (module / "cmd" / "mapping.json").write_text('{"a":1}\n')
    (module / "cmd" / "schema.json").write_text('{"name": "shop", "version": "0.0.0"}')
    Embedded("example.org/provider", "cmd", ("mapping.json",), ("schema.json",)).put(module, into, "4.25.0")
    assert (into / "mapping.json").read_text() == '{"a":1}\n'
    assert json.loads((into / "schema.json").read_text()) == {"name": "shop", "version": "4.25.0"}


def test_one_program_is_not_called_as_its_commit_is() -> None:
    """Where go.mod names a commit, the release that was made from it counts: its number is the commit's time."""
    release = binaries().provider.version
    moment = datetime.fromtimestamp(int(release.rpartition(".")[2]), UTC)
    assert f"-{moment:%Y%m%d%H%M%S}-" in golang.required("pulumi-resource-kubernetes", PROVIDER)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ({}, False),
        ({"pulumi": "toolchain"}, True),
        ({"kind": "missing"}, True),
        ({"kind": "release", "pulumi": "PATH"}, False),
    ],
    ids=["all-on-path", "one-built-here", "one-missing", "releases"],
)
def test_what_was_built_here_is_built_anew_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, origins: dict[str, str], expected: bool
) -> None:
    """Only what comes from PATH or as a release is left as it is."""

    def find(name: str) -> Tool:
        origin = origins.get(name, "PATH")
        if origin == "missing":
            raise ToolMissing(f"{name}: not found")
        return Tool(Path("/bin/true"), "1", origin)

    monkeypatch.setattr(tools, "find_tool", find)
    for image in ("node_image", "probe_image"):
        monkeypatch.setattr(tools, image, lambda: Image("image", "1", "release"))
    said: list[str] = []
    assert expected is has_to_be_built(said.append)
    assert said


_LISTENER = """
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: listener_apiserver
  address:
    socket_address:
      address: "%s"
      port_value: 6443
"""
_API_SERVERS = """
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: kube_apiservers
  load_assignment:
    endpoints:
    - lb_endpoints:
      - endpoint:
          address:
            socket_address:
              address: shop-control-plane
              port_value: 6443
      - endpoint:
          address:
            socket_address:
              address: shop-control-plane2
              port_value: 6443
"""


@pytest.mark.parametrize(("address", "family"), [("0.0.0.0", "ipv4"), ("::", "ipv6")])
def test_the_load_balancer_serves_what_kind_wrote_for_envoy(tmp_path: Path, address: str, family: str) -> None:
    """One listener, and each API server by its name, of the family that the cluster has."""
    files = _written(tmp_path, _LISTENER % address, _API_SERVERS)
    told = run([str(PROGRAM), "--print", *files], deadline=10).text
    assert f"  bind {address}:6443\n" in told
    assert f"resolve-prefer {family} " in told
    assert [line.split()[2] for line in told.splitlines() if line.startswith("  server ")] == [
        "shop-control-plane:6443",
        "shop-control-plane2:6443",
    ]


def test_the_load_balancer_refuses_what_names_no_api_server(tmp_path: Path) -> None:
    """It would serve nobody, and kind would wait for nothing."""
    files = _written(tmp_path, _LISTENER % "0.0.0.0", "resources: []\n")
    done = run([str(PROGRAM), "--print", *files], deadline=10, check=False)
    assert done.code == 1
    assert "name no listener, or no API servers" in done.errors


def test_the_load_balancer_is_called_as_kind_asks_for_it(tmp_path: Path) -> None:
    """What it asks for stands in its source; where it does not, that is said."""
    file = tmp_path / "pkg" / "cluster" / "internal" / "loadbalancer" / "const.go"
    file.parent.mkdir(parents=True)
    file.write_text('package loadbalancer\n\n// Image defines it\nconst Image = "example.org/proxy:v1"\n')
    assert balancer_ref(tmp_path) == "example.org/proxy:v1"
    file.write_text("package loadbalancer\n")
    with pytest.raises(ToolchainError, match="names no load balancer's image"):
        balancer_ref(tmp_path)


def test_the_load_balancer_is_built_only_when_it_is_named() -> None:
    """One control plane needs none."""
    known = plan()
    assert known.balancer_image not in known.targets(())
    assert known.targets(["load-balancer-image"]) == (known.balancer_image,)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        (["10.244.0.0/24"], []),
        (["10.244.0.0/24", "fd00:10:244::/64"], ["--enable-ipv6=true", "--router-id=generate"]),
        (
            ["fd00:10:244::/64"],
            [
                "--enable-ipv4=false",
                "--enable-ipv6=true",
                "--router-id=generate",
                "--service-cluster-ip-range=fd00:10:96::1/112",
            ],
        ),
    ],
    ids=["ipv4", "dual", "ipv6"],
)
def test_the_policy_engine_is_told_of_ipv6(ranges: list[str], expected: list[str]) -> None:
    """Else it enforces policies on IPv4 only, and pods with both families are open by the other one."""
    assert _node_network().families(ranges, "fd00:10:96::1") == expected


def test_pods_of_other_nodes_are_found_before_bgp_peers_have_met() -> None:
    """Each range by the node's address of its own family; a node that has none yet, and this one, are left out."""

    def node(name: str, ranges: list[str], *addresses: str) -> dict[str, object]:
        told = [{"type": "Hostname", "address": name}, *({"type": "InternalIP", "address": one} for one in addresses)]
        return {"metadata": {"name": name}, "spec": {"podCIDRs": ranges}, "status": {"addresses": told}}

    nodes = [
        node("own", ["10.244.0.0/24"], "172.18.0.2"),
        node("dual", ["fd00:1::/64", "10.244.1.0/24"], "172.18.0.3", "fc00::3"),
        node("young", ["10.244.2.0/24"]),
        {"metadata": {"name": "younger"}, "spec": {}, "status": {}},
    ]
    assert {"fd00:1::/64": "fc00::3", "10.244.1.0/24": "172.18.0.3"} == _node_network().routes(nodes, "own")


def test_the_networks_pod_waits_until_the_apis_service_address_leads_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun before is given up soon, and tried anew; no connection is left open."""
    tried: list[float] = []
    closed: list[bool] = []

    class Connection:
        def close(self) -> None:
            closed.append(True)

    def connect(place: tuple[str, int], timeout: float) -> Connection:
        assert place == ("10.96.0.1", 443)
        tried.append(timeout)
        if len(tried) < 3:
            raise TimeoutError
        return Connection()

    module = _node_network()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(module.socket, "create_connection", connect)
    module.await_service(time.monotonic() + 60)
    assert max(tried) < 1
    assert [True] == closed
    module.await_service(time.monotonic() - 1)  # nor does it wait without end
    assert len(tried) == 3


def _node_network() -> ModuleType:
    spec = importlib.util.spec_from_file_location("node_network", OURS / "node_network.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rules_for_ipv6_name_the_sets_that_there_are(tmp_path: Path) -> None:
    """kube-router makes them under another name than it writes into its rules; what is right already stays."""
    real = tmp_path / "real"
    real.write_text('#!/bin/sh\necho "$@"\ncat\n')
    real.chmod(0o755)
    script = tmp_path / "ip6tables-restore"
    script.write_text((OURS / "ip6tables-restore").read_text().replace("/usr/sbin/ip6tables-restore", str(real)))
    rules = "-A X -m set --match-set KUBE-SRC-A src -m set --match-set inet6:KUBE-DST-B dst -j MARK\n"
    done = run(["sh", str(script), "--wait", "-T", "filter"], deadline=10, stdin=rules.encode())
    assert done.text.splitlines() == ["--wait -T filter", rules.strip().replace("set KUBE", "set inet6:KUBE")]


def _written(folder: Path, listener: str, servers: str) -> list[str]:
    files = [folder / "lds.yaml", folder / "cds.yaml"]
    for file, text in zip(files, (listener, servers), strict=True):
        file.write_text(text)
    return [str(file) for file in files]


def test_what_a_node_image_is_made_from_is_all_named() -> None:
    """Docker may have the probe image of another cache, whose root file system this one never had."""
    image = plan().node_image
    assert image._probe.root in image.needs
