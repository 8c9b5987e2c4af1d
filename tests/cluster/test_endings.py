"""However a run ends, nothing of it stays, and nothing of the user's goes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.cluster.harness import (
    Place,
    Running,
    assert_nothing_comes,
    assert_nothing_left,
    everything,
    still_running,
)

pytestmark = pytest.mark.usefixtures("untouched")

INTERRUPTED = 2

Moment = Callable[[Place, Running], None]

PROBING = """
from pathlib import Path

def test_probing(cluster):
    cluster.in_network_of(None, ["true"])
    Path("probing").touch()
    cluster.on_node(cluster.nodes[0], ["sleep", "120"], deadline=150)
"""

QUICK = """
def test_quick(cluster):
    assert cluster.ours
"""

TEARDOWN = """
from pathlib import Path
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    Path("teardown").touch()
"""

STACK = """
import pulumi_kubernetes as k8s

web = k8s.core.v1.Namespace("web", metadata={"name": "web"})
labels = {"app": "never"}
container = {"name": "never", "image": "nowhere.invalid/x:1"}
k8s.apps.v1.Deployment(
    "never",
    metadata={"namespace": web.metadata["name"]},
    spec={
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    },
)
"""

DEPLOYING = """
def test_deploying(stack):
    assert stack
"""


def started(place: Place, test: str, *arguments: str) -> Running:
    """pytest on one test file, on a cluster of one node."""
    file = place.file("test_it.py", test)
    return place.pytest(str(file), f"--k8ssec-kind-config={place.kind_config}", *arguments)


def until_kind_runs(place: Place, run: Running) -> None:
    """Wait until kind was started, and has made nothing yet."""
    run.until(lambda: "kind" in place.programs(), "kind's start")


def until_docker_makes_it(place: Place, run: Running) -> None:
    """Wait until docker is making the cluster's container, which lasts for seconds and can't be called off."""
    run.until(lambda: place.command("docker", "run"), "docker run")


def until_node(place: Place, run: Running) -> None:
    """Wait until the cluster's first container is there."""
    run.until(place.containers, "a container")


MOMENTS: tuple[Moment, ...] = (until_kind_runs, until_docker_makes_it, until_node)
"""In the making of a cluster."""


def until_file(place: Place, run: Running, name: str) -> None:
    """Wait until the test has made a file."""
    run.until((place.project / name).exists, name)


def until_deployment(place: Place) -> Running:
    """A run whose stack has a namespace already, and waits for a workload that never gets ready."""
    place.file("infra/Pulumi.yaml", "name: never\nruntime: python\n")
    place.file("infra/__main__.py", STACK)
    run = started(place, DEPLOYING, f"--k8ssec-stack={place.project / 'infra'}")
    run.until(lambda: "stack: 1 of 2" in run.output, "the deployment")
    assert {"pulumi", "pulumi-resource-kubernetes"} <= place.programs()
    return run


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__.replace("_", "-"))
def test_sweep_removes_what_a_kill_during_creation_left(place: Place, moment: Moment) -> None:
    """After kill -9 while kind makes the cluster, ``k8ssec sweep`` removes it, and kind does not go on."""
    run = started(place, QUICK)
    moment(place, run)
    made = everything(place)
    run.send(signal.SIGKILL)
    run.end()
    sweep = place.k8ssec("sweep")
    assert 0 == sweep.end(), sweep.output
    assert "which had ended without cleaning up" in sweep.output
    assert_nothing_comes(place, made)


def test_next_run_removes_what_a_kill_while_probing_left(place: Place) -> None:
    """After kill -9 while a probe runs, the next pytest run removes cluster, probe containers and folder."""
    run = started(place, PROBING)
    until_file(place, run, "probing")
    made = everything(place)
    assert 2 == len(set(made))
    run.send(signal.SIGKILL)
    run.end()
    file = place.file("test_next.py", "def test_next(cluster): pass\n")
    following = place.pytest(str(file), "--k8ssec-cluster=there-is-none")
    assert 1 == following.end(), following.output
    assert "swept run" in following.output
    assert_nothing_left(place, made)


def test_sweep_removes_what_a_kill_during_deployment_left(place: Place) -> None:
    """After kill -9 while Pulumi waits for a workload, its processes end and a sweep removes the cluster."""
    run = until_deployment(place)
    made = everything(place)
    run.send(signal.SIGKILL)
    run.end()
    assert [] == still_running(place)
    sweep = place.k8ssec("sweep")
    assert 0 == sweep.end(), sweep.output
    assert_nothing_left(place, made)


def test_ctrl_c_during_deployment(place: Place) -> None:
    """Ctrl-C while Pulumi waits for a workload ends it at once, and nothing is left."""
    run = until_deployment(place)
    made = everything(place)
    run.send(signal.SIGINT)
    assert INTERRUPTED == run.end(), run.output
    assert "Traceback" not in run.output
    assert_nothing_left(place, made)


def test_sweep_removes_folders_of_runs_that_never_began(place: Place) -> None:
    """A folder without a record, left by kill -9 as a run began or ended, goes without a word about docker."""
    for name in (".gone-0123abcd", ".new-0123abcd"):
        (place.state / "runs" / name).mkdir(parents=True)
    sweep = place.k8ssec("sweep", environ={"DOCKER_HOST": "unix:///nonexistent"})
    assert 0 == sweep.end(), sweep.output
    assert_nothing_left(place, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__.replace("_", "-"))
def test_signal_during_creation(place: Place, moment: Moment, number: signal.Signals) -> None:
    """A signal while kind makes the cluster ends the run with pytest's own exit code, and nothing is left."""
    run = started(place, QUICK)
    moment(place, run)
    made = everything(place)
    run.send(number)
    assert INTERRUPTED == run.end(), run.output
    assert "Traceback" not in run.output
    assert_nothing_comes(place, made)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_signal_while_probing(place: Place, number: signal.Signals) -> None:
    """A signal in the middle of a probe ends the run within seconds, and nothing is left."""
    run = started(place, PROBING)
    until_file(place, run, "probing")
    made = everything(place)
    run.send(number)
    assert INTERRUPTED == run.end(), run.output
    assert "Traceback" not in run.output
    assert_nothing_left(place, made)


def test_ctrl_c_twice_while_probing(place: Place) -> None:
    """The impatient second Ctrl-C does not cut the clean-up off."""
    run = started(place, PROBING)
    until_file(place, run, "probing")
    made = everything(place)
    run.send(signal.SIGINT)
    time.sleep(0.3)
    run.send(signal.SIGINT)
    assert INTERRUPTED == run.end(), run.output
    assert "Traceback" not in run.output
    assert_nothing_left(place, made)


def test_ctrl_c_twice_during_creation(place: Place) -> None:
    """A second Ctrl-C while the half-made cluster is being removed does not leave it."""
    run = started(place, QUICK)
    until_node(place, run)
    made = everything(place)
    run.send(signal.SIGINT)
    time.sleep(0.5)
    run.send(signal.SIGINT)
    assert INTERRUPTED == run.end(), run.output
    assert "Traceback" not in run.output
    assert_nothing_left(place, made)


def test_ctrl_c_during_teardown(place: Place) -> None:
    """Ctrl-C, also several times, while a finished run is cleaning up: it finishes that first."""
    place.file("conftest.py", TEARDOWN)
    run = started(place, QUICK)
    until_file(place, run, "teardown")
    made = everything(place)
    for _ in range(3):
        time.sleep(0.2)
        if run.process.poll() is None:
            run.send(signal.SIGINT)
    assert INTERRUPTED == run.end(), run.output
    assert "Traceback" not in run.output
    assert_nothing_left(place, made)


def test_signal_to_a_run_with_workers(place: Place) -> None:
    """With xdist, SIGTERM to the controller while a worker makes the cluster: nothing is left."""
    run = started(place, QUICK, "-n1")
    until_node(place, run)
    made = everything(place)
    run.send(signal.SIGTERM)
    assert INTERRUPTED == run.end(), run.output
    assert_nothing_left(place, made)


def test_living_run_is_left_alone(place: Place) -> None:
    """A sweep while a run probes takes nothing from it: the run passes."""
    run = started(place, PROBING.replace('"120"', '"8"'))
    until_file(place, run, "probing")
    made = everything(place)
    sweep = place.k8ssec("sweep")
    assert 0 == sweep.end(), sweep.output
    assert "nothing to sweep" in sweep.output
    listed = place.k8ssec("list")
    assert 0 == listed.end(), listed.output
    assert f"running (process {run.process.pid})" in listed.output
    assert 0 == run.end(), run.output
    assert_nothing_left(place, made)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_signal_during_up(place: Place, number: signal.Signals, code: int) -> None:
    """A signal during ``k8ssec up`` removes what was made, and tells by the exit code which it was."""
    up = place.k8ssec("up", f"--kind-config={place.kind_config}")
    until_node(place, up)
    made = everything(place)
    up.send(number)
    assert code == up.end(), up.output
    assert "Traceback" not in up.output
    assert_nothing_left(place, made)
