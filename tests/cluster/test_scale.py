"""Many workloads and accounts in many namespaces: a verdict for each control, the right ones, in bounded time and memory.

K8SSEC_SCALE says how many workloads (default: 20, in half as many namespaces, which `make test` does; `make test-scale`
does 200). Three mistakes are planted among them, and must be found where they are.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.machine import tools
from tests.cluster.harness import Place, Running, still_running

HERE = Path(__file__).parent / "scale"
WORKLOADS = int(os.environ.get("K8SSEC_SCALE", "20"))
SEED = 13
SECONDS = 600
"""From the moment that the stack is up."""
MEBIBYTES = 1000
REPORT_MEBIBYTES = 30
SLOWEST = 12
UNLOGGED = "aud-no-secret-body"
"""It asks for what an audit log holds, and this cluster writes none."""
_MEASURE = """
import json, pathlib, time
import pytest

measured = {}

@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    found = yield
    if fixturedef.argname == "stack":
        measured["up"] = time.monotonic()
    return found

def pytest_runtest_logfinish():
    measured["ended"] = time.monotonic()

def pytest_unconfigure():
    told = pathlib.Path("/proc/self/status").read_text().splitlines()
    measured["peak_kib"] = int(next(line.split()[1] for line in told if line.startswith("VmHWM")))
    pathlib.Path("measured.json").write_text(json.dumps(measured))
"""
Results = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Planted:
    """Numbers of workloads: workload N is called ``wN``, as is its account, and stands in namespace ``s(N // 2)``."""

    climber: int
    """Its account may make pods in a namespace that is not its own."""
    into: int
    """The number of that namespace."""
    open_to_all: int
    """It lets in whoever wears its client's labels, in whatever namespace."""
    writable: int
    """Its root file system can be written."""


def namespace_of(workload: int) -> str:
    """Two workloads stand in one: a server, and the client that it lets in."""
    return f"s{workload // 2}"


def planted(workloads: int, seed: int) -> Planted:
    """The same for the same numbers. There must be at least four workloads, and an even number of them."""
    chance = random.Random(seed)
    climber = chance.randrange(workloads)
    into = chance.choice([each for each in range(workloads // 2) if each != climber // 2])
    return Planted(climber, into, 2 * chance.randrange(workloads // 2), chance.randrange(workloads))


MISTAKES = planted(WORKLOADS, SEED)


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home for the run."""
    place = Place(tmp_path_factory.mktemp("scale"), tools.cache_root())
    place.file("measure.py", _MEASURE)
    yield place
    place.clean_up()
    assert [] == still_running(place)


@pytest.fixture(scope="module")
def run(scaled: Place) -> Running:
    """The whole suite, to its end."""
    made = scaled.pytest(
        "-p",
        "measure",  # no conftest: that would not be asked about the packaged controls
        "--k8ssec-controls",
        f"--k8ssec-stack={HERE}",
        f"--k8ssec-kind-config={HERE / 'kind.yaml'}",
        "--k8ssec-config=scale:image={probe_image}",
        f"--k8ssec-config=scale:workloads={WORKLOADS}",
        f"--k8ssec-config=scale:climber={MISTAKES.climber}",
        f"--k8ssec-config=scale:into={MISTAKES.into}",
        f"--k8ssec-config=scale:openToAll={MISTAKES.open_to_all}",
        f"--k8ssec-config=scale:writable={MISTAKES.writable}",
        f"--k8ssec-reach-seed={SEED}",
        "--k8ssec-report=report",
        "--durations=0",
    )
    made.end(60 * WORKLOADS + SECONDS)
    return made


@pytest.fixture(scope="module")
def results(scaled: Place, run: Running) -> Results:
    """By control."""
    report = scaled.project / "report" / "report.json"
    assert report.exists(), run.output
    return {each["control"]: each for each in json.loads(report.read_text())["results"]}


def test_time_memory_and_report_are_bounded(
    scaled: Place, run: Running, results: Results, tell: Callable[[str], None]
) -> None:
    """Counted from the moment that the stack is up."""
    measured = json.loads((scaled.project / "measured.json").read_text())
    seconds, peak = measured["ended"] - measured["up"], measured["peak_kib"] / 1024
    size = (scaled.project / "report" / "report.json").stat().st_size / 2**20
    tell(f"{WORKLOADS} workloads: {seconds:.0f} s from stack is up, peak of {peak:.0f} MiB, report of {size:.1f} MiB")
    for each in sorted(results.values(), key=lambda result: -float(result["seconds"]))[:SLOWEST]:
        tell(f"{each['seconds']:7.1f} s  {each['control']}: {each['verdict']}: {each['summary']}")
    assert seconds < SECONDS, run.output
    assert peak < MEBIBYTES
    assert size < REPORT_MEBIBYTES


def test_each_control_comes_to_a_verdict(run: Running, results: Results) -> None:
    """And none is inconclusive but the one, as nothing else here keeps it from being told."""
    wanted = {each.id for each in packaged_controls()}
    assert wanted == set(results), run.output
    untold = {name: each["reason"] for name, each in results.items() if each["verdict"] == "inconclusive"}
    assert set(untold) <= {UNLOGGED}, untold


def through(result: dict[str, Any]) -> set[str]:
    """The cases in which an attack got through."""
    return {attack["case"] for attack in result["attacks"] if attack["through"]}


@pytest.mark.parametrize(
    ("name", "workload", "said"),
    [
        ("rbac-escalation", MISTAKES.climber, f"in s{MISTAKES.into}"),
        ("net-ingress-deny", MISTAKES.open_to_all, ":8080"),
        ("wl-privilege", MISTAKES.writable, "write to /"),
    ],
)
def test_each_mistake_is_found_and_nothing_else(results: Results, name: str, workload: int, said: str) -> None:
    """Where it was planted."""
    result = results[name]
    assert result["verdict"] == "breached"
    (case,) = through(result)
    assert f"{namespace_of(workload)}/w{workload}" in case
    assert said in result["reason"]
