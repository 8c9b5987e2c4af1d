"""What pytest shows of a question about reachability that fails, and of what was told by class and not measured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.machine import docker
from pytest_k8ssec.reach import survey as module
from tests.plugin.conftest import Run
from tests.unit.machine.dockers import FakeDocker

MEASURED = """
import pytest
from pytest_k8ssec.evidence import Outcome
from tests.unit.reach.reaching import destination, only, reach

@pytest.fixture
def reachability():
    return reach(
        ("web/shop", "elsewhere", "batch/job"), [destination("pay/db", 5432)],
        only(("web/shop", "pay/db"), ("elsewhere", "pay/db")), broken=["batch/job"],
    )
"""


@pytest.fixture
def shown(pytester: pytest.Pytester) -> pytest.RunResult:
    """A run with a test for each way in which a question may come out."""
    pytester.makeconftest(MEASURED)
    pytester.makepyfile("""
        def test_holds(reachability):
            assert reachability.between("web/shop", "pay/db").is_open()

        def test_fails(reachability):
            assert reachability.to("pay/db", 5432).only_from("web/shop")

        def test_unknown(reachability):
            assert reachability.between("batch/job", "pay/db").is_blocked()

        def test_mistyped(reachability):
            assert reachability.between("web/shp", "pay/db").is_blocked()
    """)
    return pytester.runpytest("-p", "no:cacheprovider")


def test_a_plain_assert_names_the_culprit(shown: pytest.RunResult) -> None:
    """Who got through, to where, by which way; and what can't be told is no answer."""
    shown.assert_outcomes(passed=1, failed=3)
    shown.stdout.fnmatch_lines([
        "*assert <not so: elsewhere -> pay/db:5432/TCP (pod db-0, TCP 10.244.0.1:5432): open in 1.5 ms>",
    ])  # fmt: skip
    shown.stdout.fnmatch_lines(["*batch/job to pay/db is blocked: can't be told: 1 of 1 connections are unknown*"])
    shown.stdout.fnmatch_lines(["*batch/job: exec was refused*"])
    shown.stdout.fnmatch_lines(["*source 'web/shp': nothing has that name*", "*fix: did you mean web/shop*"])


SAMPLED = """
import pytest
from types import SimpleNamespace
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.machine.tools import Image
from pytest_k8ssec.reach import survey as module
from tests.unit.reach.reaching import sampled

@pytest.fixture(scope="session", autouse=True)
def made(k8ssec_testbeds):
    run, base = k8ssec_testbeds.run, k8ssec_testbeds.base
    base.cluster = KindCluster(
        "k8ssec-made", run.directory / "kubeconfig", run.directory, True, "packaged", "", Image("probe", "1", "chosen"), run
    )
    base.stack = SimpleNamespace(
        name="s", project="p", deployed=True, seconds=1.0, resources=(), namespaces=(), providers={}
    )

def survey(*_, limit, seed):
    print("asked for", limit, seed)
    return sampled()

module.survey = survey
"""
ASKED = """
from lab import held

def test_one(judge, reachability):
    held(judge)
    assert reachability.between("web", "pay/api").is_open()
"""
ALONE = """
def test_one(reachability):
    assert reachability.between("web", "pay/api").is_open()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: pytest.Pytester) -> None:
    """A cluster that nobody needs to ask, of whose pods some are measured."""
    monkeypatch.setattr(docker, "_gone", [])
    monkeypatch.setattr(module, "survey", module.survey)  # put back, whatever the inner run sets
    made = FakeDocker(tmp_path / "docker")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    lab.makeconftest(SAMPLED)


def measured() -> list[dict[str, Any]]:
    """What report.json says of it."""
    found: list[dict[str, Any]] = json.loads(Path("report/report.json").read_text())["run"]["reachability"]
    return found


def test_a_run_says_how_much_was_measured_and_how_much_was_not(run: Run, site: None) -> None:
    """In the report and in the terminal, with the seed by which it can be repeated."""
    result = run(ASKED)
    result.assert_outcomes(passed=1)
    words = "reachability: 2 connections measured, 2 by class (sources: 1 measured and 1 not, in 1 classes*seed 7)"
    result.stdout.fnmatch_lines([words])
    (told,) = measured()
    assert (7, 1, 1, 1) == tuple(
        told[name] for name in ("seed", "source_classes", "sources_measured", "sources_by_class")
    )
    assert (2, 2, 0, []) == tuple(told[name] for name in ("measured", "by_class", "untold", "unlike"))
    (found,) = json.loads(Path("report/report.json").read_text())["run"]["reach"]
    assert ["web/cart", "web/shop"] == found["origins"]
    assert ["o,", "O."] == found["signs"]
    assert '<td class="cell open">O</td>' in Path("report/report.html").read_text()


def test_a_run_without_a_verdict_says_so_too(run: Run, site: None) -> None:
    """A plain assert is told nothing else."""
    result = run(ALONE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["reachability: 2 connections measured, 2 by class *"])


SEEDED = """
import pytest
from pathlib import Path
from pytest_k8ssec.plugin.session import SETTINGS

@pytest.mark.parametrize("number", range(2))
def test_it(request, number, worker_id):
    Path(f"seed-{worker_id}").write_text(str(request.config.stash[SETTINGS].reach_seed))
"""


@pytest.mark.parametrize(
    ("workers", "options", "given"), [(2, (), None), (2, ("--k8ssec-reach-seed=17",), "17"), (1, (), "None")]
)
def test_workers_measure_the_same_pods(run: Run, workers: int, options: tuple[str, ...], given: str | None) -> None:
    """By one seed: else two of their tests would judge different samples of one run. Two runs have different ones."""
    told = []
    for _ in range(2):
        run(SEEDED, f"-n{workers if workers > 1 else 0}", *options).assert_outcomes(passed=2)
        seeds = [path.read_text() for path in Path().glob("seed-*")]
        assert (workers, 1) == (len(seeds), len(set(seeds)))
        told += seeds[:1]
    if given is None:
        assert "None" not in told
        assert 2 == len(set(told))
    else:
        assert {given} == set(told)


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), "asked for None None"), (("--k8ssec-reach-limit=all",), "asked for inf None"),
     (("--k8ssec-reach-limit=9", "--k8ssec-reach-seed=17"), "asked for 9 17")],
)  # fmt: skip
def test_options_say_how_many_pods_are_too_many_and_which_are_measured(
    run: Run, site: None, options: tuple[str, ...], expected: str
) -> None:
    """The fixture passes them on."""
    run(ALONE, "-s", *options).stdout.fnmatch_lines([f"*{expected}*"])
