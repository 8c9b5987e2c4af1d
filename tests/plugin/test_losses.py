"""Docker goes away, or a disk fills up, in the middle of a run: said once, nothing is waited for, results are not lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.releases import PROBE_IMAGE
from pytest_k8ssec.plugin import reporting
from tests.plugin.conftest import Run
from tests.unit.machine.dockers import FakeDocker

_GONE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
_SITE = """
import pytest
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.machine.tools import Image

NODE = Node("n", "192.0.2.9", control_plane=True, container="n")

@pytest.fixture(scope="session", autouse=True)
def made(k8ssec_testbeds):
    run = k8ssec_testbeds.run
    run.will_create("cluster", "k8ssec-made")
    k8ssec_testbeds.base.cluster = KindCluster(
        "k8ssec-made", run.directory / "kubeconfig", run.directory, True, "packaged", "", Image("probe", "1", "chosen"), run
    )
"""
_TESTS = """
from lab import held
from conftest import NODE

def test_before(judge, cluster):
    cluster.on_node(NODE, ["true"])
    held(judge)

def test_meanwhile(judge, cluster):
    held(judge)
    cluster.on_node(NODE, ["true"])

def test_after_1(judge, cluster):
    cluster.on_node(NODE, ["true"])
    held(judge)

def test_after_2(judge, cluster):
    held(judge)

def test_after_3(judge, cluster):
    held(judge)

def test_without_a_cluster(judge):
    held(judge)
"""


@pytest.fixture
def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: pytest.Pytester) -> FakeDocker:
    """A docker of the test's own, and a cluster that stands on it."""
    monkeypatch.setattr(docker, "_gone", [])
    made = FakeDocker(tmp_path / "docker")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    lab.makeconftest(_SITE)
    return made


def test_docker_that_goes_away_is_told_once_and_not_waited_for(run: Run, fake_docker: FakeDocker) -> None:
    """The test in which it goes and all after it on that cluster are inconclusive; others run on; what is left is told."""
    fake_docker.breaks(_GONE, after=1)
    result = run(_TESTS, "-rA")
    result.assert_outcomes(passed=2, failed=1, errors=3)
    told = result.stdout.str()
    assert "container n: docker daemon: none answers" in told
    # By the test in which it went, by those that were not begun, all at once, and by the clean-up.
    assert told.count("start docker (as root") == 3
    result.stdout.fnmatch_lines(["3 tests could tell nothing, for one reason: test_*", "docker daemon: none answers"])
    result.stdout.fnmatch_lines(
        ["*clean-up failed: docker daemon: none answers: cluster k8ssec-made*", "*k8ssec sweep*"]
    )
    verdicts = {each["control"]: each["verdict"] for each in _report()["results"]}
    assert verdicts["test_before"] == verdicts["test_without_a_cluster"] == "held"
    assert {verdicts[name] for name in verdicts if "after" in name or "meanwhile" in name} == {"inconclusive"}
    # Nobody went on asking for the cluster: the command that failed, whether it is gone, and the clean-up's.
    _, at = (at for at, call in enumerate(fake_docker.asked) if call.startswith("exec"))
    assert len(fake_docker.asked[at:]) < 12


def _report() -> dict[str, list[dict[str, str]]]:
    loaded: dict[str, list[dict[str, str]]] = json.loads(Path("report/report.json").read_text())
    return loaded


def test_a_daemon_that_hangs_is_found_out_once(
    run: Run, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that ran past its deadline may say something of the command alone, or of docker: that is asked for."""
    monkeypatch.setattr(docker, "_CONFIRM_SECONDS", 0.5)
    (fake_docker.folder / "hang").write_text(f"#!/bin/sh\ntouch {fake_docker.folder}/state/hangs\nexec sleep 600\n")
    (fake_docker.folder / "hang").chmod(0o755)
    result = run(
        f"""
from lab import held
from conftest import NODE

def test_a_slow_command(judge, cluster):
    held(judge)
    cluster.on_node(NODE, ["sleep", "600"], deadline=0.2)

def test_between(judge, cluster):
    held(judge)

def test_meanwhile(judge, cluster):
    held(judge)
    cluster.on_node(NODE, ["{fake_docker.folder}/hang"], deadline=1)

def test_after(judge, cluster):
    held(judge)
"""
    )
    result.assert_outcomes(passed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines(["*did not end within 0.2 s*"])
    result.stdout.fnmatch_lines(["test_after  inconclusive: docker daemon: none answers"])


def test_a_command_that_only_says_so_does_not_stand_for_docker(run: Run, fake_docker: FakeDocker) -> None:
    """A container may have a docker client of its own; ours answers."""
    result = run(
        f"""
from conftest import NODE
from lab import held

def test_it(judge, cluster):
    done = cluster.on_node(NODE, ["sh", "-c", "echo '{_GONE}' >&2; exit 1"], check=False)
    assert done.code == 1
    held(judge)

def test_after(judge, cluster):
    held(judge)
"""
    )
    result.assert_outcomes(passed=2)
    assert fake_docker.asked


@pytest.mark.parametrize("what", ["report", "journal"])
def test_results_are_not_lost_where_they_can_not_be_written(
    run: Run, lab: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The table is printed, what could not be written is told with what fixes it, and the run does not pass."""
    monkeypatch.setattr(reporting, "lasts", lambda _: True)  # as of packaged controls: only theirs are journalled
    result = run(
        f"""
from pathlib import Path
from lab import held

def test_it(judge):
    held(judge)
    # As a disk that is full from here on: nothing can be written under that name.
    if "{what}" == "journal":
        Path("report/journal.jsonl").unlink()
        Path("report/journal.jsonl").symlink_to("/dev/full")
    else:
        Path("report").write_text("in the way")

def test_after(judge):
    held(judge)
""",
        *(["--k8ssec-resume"] if what == "journal" else []),
    )
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["test_after *HELD*", "test_it *HELD*", "2 held, 0 breached*"])
    if what == "journal":
        result.stdout.fnmatch_lines(
            ["this run can't be resumed: *journal.jsonl: there is no space left*", "*fix: make room*"]
        )
    else:
        result.stdout.fnmatch_lines(
            ["report could not be written: *a file stands where a folder is needed*", "*fix: *"]
        )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert lab.path.is_dir()


def test_a_file_of_the_run_that_can_not_be_written_is_told_once(
    run: Run, fake_docker: FakeDocker, lab: pytest.Pytester
) -> None:
    """As the cluster is made: no traceback, all tests inconclusive, and the clean-up is done."""
    kind = fake_docker.folder / "kind"
    kind.write_text("#!/bin/sh\necho kind v0.33.0 go1.26 linux/amd64\n")
    kind.chmod(0o755)
    fake_docker.image(PROBE_IMAGE)
    lab.makeconftest(
        """
import pytest

@pytest.fixture(scope="session", autouse=True)
def in_the_way(k8ssec_testbeds):
    (k8ssec_testbeds.run.directory / "base.lock").mkdir()
"""
    )
    result = run(
        """
from lab import held

def test_1(judge, cluster):
    held(judge)

def test_2(judge, cluster):
    held(judge)
"""
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["a file of this run */base.lock: a folder stands where a file is needed*", "*fix: *"])
    result.stdout.fnmatch_lines(["2 tests could tell nothing, for one reason: test_1, test_2"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*clean-up failed*")
    assert not list((Path(os.environ["K8SSEC_STATE"]) / "runs").iterdir())


@pytest.mark.parametrize(("file", "shown"), [("/dev/full", False), ("/nowhere/at/all", True)])
def test_a_disk_that_fills_up_under_a_control_is_told_without_a_traceback(run: Run, file: str, shown: bool) -> None:
    """Inconclusive, with the cause and what fixes it; an error of any other sort keeps its traceback."""
    result = run(
        f"""
from pathlib import Path
from lab import held
from pytest_k8ssec.catalogue.control import Severity, control

@control(severity=Severity.HIGH, subject="cluster")
def test_net_door(judge):
    held(judge)
    Path("{file}").write_text("x")
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net-door *INCONCLUSIVE*"])
    assert ("there is no space left" in result.stdout.str()) is not shown
    assert ("fix: make room there" in result.stdout.str()) is not shown
    assert ("Error: [Errno 2]" in result.stdout.str()) is shown
    assert ("io.open(self" in result.stdout.str()) is shown
