"""Many nodes and pods that only pretend to run (kwok), beside two real nodes: no timeout, little memory, nothing held for them.

50 nodes and 500 pods by default; ``make test-kwok`` has 500 and 5,000.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.machine import docker, tools
from tests.cluster import kwok
from tests.cluster.harness import Place, Running, still_running

HERE = Path(__file__).parent
HARDENED = HERE.parents[1] / "stacks" / "hardened" / "kind.yaml"
NODES = int(os.environ.get("K8SSEC_KWOK_NODES") or 50)
CROWD = kwok.Crowd(NODES, 10 * NODES)
SECONDS = 900
"""In which each of the two runs must come to its end, on any machine."""
MEBIBYTES = 500
AT_NODES = {
    "api-tls",
    "etcd-exposed",
    "ext-ports",
    "ext-unauth-ui",
    "kubelet-anon",
    "kubelet-authz",
    "kubelet-readonly",
    "kubelet-server-cert",
    "net-cni-enforces",
    "node-cred-files",
    "node-loopback",
    "node-seccomp",
}
"""What each node has to answer for itself."""
PRELOADED = "sup-pull-auth"
"""It is breached by images that kind itself loads onto nodes, with or without a crowd."""
_PEAK = """
import os, pathlib

def pytest_unconfigure(config):
    told = pathlib.Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in told if line.startswith("VmHWM"))
    pathlib.Path("peak").write_text(peak)
"""


@dataclass
class Crowded:
    """A cluster with the crowd on it."""

    place: Place
    name: str

    def pytest(self, *arguments: str) -> Running:
        """A run of pytest on it, watched to its end; it used little memory."""
        peak = self.place.project / "peak"
        peak.unlink(missing_ok=True)
        fakes = {space: list(kwok.APPS) for space in kwok.NAMESPACES}
        run = self.place.pytest(
            f"--k8ssec-cluster={self.name}",
            *arguments,
            environ={
                "FAKE_NODES": str(CROWD.nodes), "FAKE_PODS": str(CROWD.pods), "FAKE_WORKLOADS": json.dumps(fakes),
            },
        )  # fmt: skip
        run.end(SECONDS)
        used = int(peak.read_text()) / 1024
        sys.stdout.write(f"{CROWD.nodes} fake nodes, {CROWD.pods} fake pods: peak of {used:.0f} MiB\n")
        assert used < MEBIBYTES, run.output
        return run


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowded]:
    """Two real nodes, hardened, and the crowd; the cluster and kwok go in every ending."""
    place, name = (
        Place(tmp_path_factory.mktemp("kwok"), tools.cache_root(), thaws=True),
        f"k8ssec-crowd-{secrets.token_hex(3)}",
    )
    with ExitStack() as endings:
        endings.callback(place.clean_up)
        up = place.k8ssec("up", f"--name={name}", f"--kind-config={HARDENED}")
        assert 0 == up.end(), up.output
        endings.callback(lambda: place.k8ssec("down", name).end())
        recorded = place.run()
        assert recorded is not None
        kubeconfig = recorded.run.directory / "cluster" / "kubeconfig"
        nodes = [each.name for each in docker.of_cluster(name)]
        process = endings.enter_context(kwok.running(kubeconfig, place.root / "kwok.log", place.environ))
        api = KubeApi(kubeconfig)
        kwok.real(api, _probe_image(nodes[0]))
        kwok.placed(api, process, CROWD, kwok.unanswering(nodes))
        place.file("conftest.py", _PEAK)
        yield Crowded(place, name)
    assert [] == still_running(place)


def _probe_image(node: str) -> str:
    """The probe image as ``k8ssec up`` brought it to the nodes."""
    listed = docker.docker("exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q").text.split()
    return next(name for name in listed if "probe" in name)


def test_controls_of_the_cluster(crowded: Crowded) -> None:
    """What judges nodes is inconclusive, by number and name, in one line; what judges something else holds as ever."""
    wanted = [each.id for each in packaged_controls() if each.subject == "cluster" and each.id != PRELOADED]
    run = crowded.pytest("--k8ssec-controls", "-k", " or ".join(wanted), "--k8ssec-report=report")
    report = json.loads((crowded.place.project / "report" / "report.json").read_text())
    results = {result["control"]: result for result in report["results"]}
    assert set(wanted) <= set(results), run.output
    told = {name: results[name]["verdict"] for name in wanted}
    assert AT_NODES == {name for name, verdict in told.items() if verdict == "inconclusive"}, run.output
    assert "breached" not in told.values(), run.output
    for name in AT_NODES:
        assert f"{CROWD.nodes} nodes" in results[name]["reason"]
        assert "more: " in results[name]["reason"]
        assert len(results[name]["reason"].splitlines()) == 1


def test_listing_reachability_and_blast_radius(crowded: Crowded) -> None:
    """See ``among_fakes.py``: what is asked and what must come of it stands there."""
    crowded.place.file("test_among_fakes.py", (HERE / "among_fakes.py").read_text())
    run = crowded.pytest("test_among_fakes.py", "--durations=5")
    assert 0 == run.process.returncode, run.output
