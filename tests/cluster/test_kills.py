"""kill -9 at random moments: the next run removes all that was ours, and nothing of anybody else's.

K8SSEC_KILLS says how many (default: 2, which `make test` does; `make test-kills` does 30), K8SSEC_KILLS_SEED from where the
moments are drawn. Beside us stand things of the user's that only an id tells from ours: a real kind cluster, and
containers, networks and volumes called and labelled as ours are, also by the very name and run that the ledger names.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.machine import docker, ledger, tools
from pytest_k8ssec.machine.process import run as run_command
from tests.cluster.harness import LATE, Machine, Place, Running, assert_nothing_left, still_running

KILLS = int(os.environ.get("K8SSEC_KILLS", "2"))
SEED = int(os.environ.get("K8SSEC_KILLS_SEED") or secrets.randbelow(10**6))

PROJECT = """
import pulumi_kubernetes as k8s

for number in range(6):
    k8s.core.v1.ConfigMap(f"settings-{number}", metadata={"namespace": "default"}, data={"a": "b"})
"""

TEST = """
from pathlib import Path

def test_all(cluster, stack, nodes):
    Path("probing").touch()
    cluster.in_network_of(None, ["sleep", "2"])
    for node in cluster.nodes:
        cluster.in_network_of(node, ["sleep", "2"])
    Path("probed").touch()
"""


def kind(*arguments: str, deadline: float = 180) -> None:
    """Run kind as the user would, but for the kubeconfig."""
    run_command([str(tools.find_tool("kind").path), *arguments], deadline=deadline)


@contextmanager
def users_cluster(place: Place, name: str) -> Iterator[None]:
    """A kind cluster of the user's own."""
    kubeconfig = str(place.root / f"users-{name}")
    image = tools.node_image(None, None).reference
    patch = "kind: KubeletConfiguration\nfailCgroupV1: false\n"
    config = place.file(f"users-{name}.yaml", f"{ONE}kubeadmConfigPatches:\n- |\n{indented(patch)}")
    try:
        kind("create", "cluster", "--name", name, "--image", image, "--config", str(config), "--kubeconfig", kubeconfig)
        yield
    finally:
        kind("delete", "cluster", "--name", name, "--kubeconfig", kubeconfig)


ONE = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"


def indented(text: str) -> str:
    """As a block of YAML."""
    return "".join(f"  {line}\n" for line in text.splitlines())


@contextmanager
def strangers(entry: ledger.Recorded) -> Iterator[None]:
    """Things of the user's that are called and labelled as what a dead run wrote ahead."""
    image, cluster = tools.probe_image().reference, entry.run.name()
    name = f"{cluster}-worker7"
    own = f"k8ssec-{entry.run.id}-mine"
    made = [
        docker.docker(
            "create", "--name", name, "--label", f"{docker.KIND_LABEL}={cluster}", image, "true"
        ).text.strip(),
        docker.docker(
            "create", "--name", own, "--label", f"{docker.RUN_LABEL}={entry.run.id}", image, "true"
        ).text.strip(),
    ]
    docker.docker("volume", "create", own)
    docker.docker("network", "create", own)
    try:
        yield
    finally:
        docker.docker("rm", "--force", *made)
        docker.docker("volume", "rm", own)
        docker.docker("network", "rm", own)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One home for all kills, beside a real kind cluster of the user's whose name is like ours."""
    place = Place(tmp_path_factory.mktemp("kills"), tools.cache_root())
    place.file("infra/Pulumi.yaml", "name: settings\nruntime: python\n")
    place.file("infra/__main__.py", PROJECT)
    place.file("test_it.py", TEST)
    with users_cluster(place, f"k8ssec-{secrets.token_hex(4)}"):
        yield place
    place.clean_up()


def started(place: Place) -> Running:
    """A whole run: a cluster, a stack, a probe."""
    for name in ("probing", "probed"):
        (place.project / name).unlink(missing_ok=True)
    flags = [f"--k8ssec-kind-config={place.kind_config}", f"--k8ssec-stack={place.project / 'infra'}"]
    return place.pytest("test_it.py", *flags)


# The pauses are random on purpose. Between any two steps of a run a kill may leave something that nobody wrote down; which two
# those are is what we don't know, so each run of these tests looks elsewhere. What a pause was drawn from is printed where a
# test fails (the seed), and a passing one rests on no pause: whenever the kill came, the same must be true afterwards.
def creating(place: Place, chance: random.Random) -> Running:
    """Killed while a cluster is made."""
    run = started(place)
    run.until(lambda: "creating kind cluster" in run.output, "a cluster")
    time.sleep(chance.uniform(0, 20) if chance.random() < 0.5 else chance.uniform(0, 3))
    return run


def deploying(place: Place, chance: random.Random) -> Running:
    """Killed while the stack is deployed."""
    run = started(place)
    run.until(lambda: "stack: " in run.output, "the stack")
    time.sleep(chance.uniform(0, 5))
    return run


def probing(place: Place, chance: random.Random) -> Running:
    """Killed while it probes, or cleans up after that."""
    run = started(place)
    run.until((place.project / "probing").exists, "the probe")
    time.sleep(chance.uniform(0, 8))
    return run


def sweeping(place: Place, chance: random.Random) -> Running:
    """Killed while it sweeps what another kill left."""
    kill(place, creating(place, chance), chance)
    sweep = place.k8ssec("sweep")
    time.sleep(chance.uniform(0, 2.5))
    return sweep


def kill(place: Place, run: Running, chance: random.Random) -> None:
    """Kill it alone, or all that it started as well."""
    run.send(signal.SIGKILL)
    if chance.random() < 0.4:
        place.kill_all()
    run.end()


def following(place: Place, chance: random.Random) -> Running:
    """What removes what is left: `k8ssec sweep`, or the beginning of any other run."""
    if chance.random() < 0.5:
        sweep = place.k8ssec("sweep")
        assert 0 == sweep.end(), sweep.output
        return sweep
    following = place.pytest(
        "test_it.py", "--k8ssec-cluster=there-is-none", f"--k8ssec-stack={place.project / 'infra'}"
    )
    assert 1 == following.end(), following.output
    return following


MOMENTS = (creating, deploying, probing, sweeping)


@pytest.mark.parametrize("number", range(KILLS))
def test_nothing_of_ours_stays_and_nothing_of_theirs_goes(home: Place, number: int) -> None:
    """Whenever it was killed, the next sweep leaves the machine as it was before the run."""
    chance = random.Random(SEED + number)
    moment = MOMENTS[(number + SEED) % len(MOMENTS)]
    print(f"seed {SEED + number}: {moment.__name__}")  # noqa: T201 - shown where it fails
    before = Machine.now()
    kill(home, moment(home, chance), chance)
    entries = ledger.recorded(home.state)
    with strangers(entries[0]) if entries else no_strangers():
        beside = Machine.now()
        print(following(home, chance).output)  # noqa: T201 - as above
        expected = Machine(
            containers=before.containers | (beside.containers - before.containers) & named(entries),
            networks=beside.networks,
            volumes=before.volumes | {volume for volume in beside.volumes if volume.startswith("k8ssec-")},
            images=before.images,
        )
        end = time.monotonic() + LATE
        while time.monotonic() < end:
            assert expected == replace(Machine.now(), images=before.images)
            time.sleep(0.5)
        assert [] == still_running(home)
        assert [] == list((home.state / "runs").iterdir())
    assert before == Machine.now()


@contextmanager
def no_strangers() -> Iterator[None]:
    """The run ended by itself: it has no name left to be taken for."""
    yield


def named(entries: list[ledger.Recorded]) -> set[str]:
    """Ids of the user's containers that stand beside a dead run's."""
    names = {name for one in entries for name in (f"{one.run.name()}-worker7", f"k8ssec-{one.run.id}-mine")}
    return {each.id for each in docker.listed() if each.name in names}


BORROWING = """
from pathlib import Path

def test_all(cluster, attacker):
    attacker()
    cluster.in_network_of(None, ["true"])
    Path("probing").touch()
    cluster.in_network_of(None, ["sleep", "60"], deadline=90)
"""


def test_what_a_kill_leaves_on_a_users_cluster_goes_by_its_uid(home: Place) -> None:
    """Our namespace goes with the next run, whatever of the user's is called and labelled as ours is."""
    (users,) = {each.cluster for each in docker.listed()} & set(kinds(home))
    home.file("test_borrowing.py", BORROWING)
    (home.project / "probing").unlink(missing_ok=True)
    before = Machine.now()
    run = home.pytest("test_borrowing.py", f"--k8ssec-cluster={users}")
    run.until((home.project / "probing").exists, "the probe")
    run.send(signal.SIGKILL)
    run.end()
    (entry,) = ledger.recorded(home.state)
    api = KubeApi(home.root / f"users-{users}")
    mine = f"k8ssec-{entry.run.id}-mine"
    namespace = {"metadata": {"name": mine, "labels": {"io.k8ssec.run": entry.run.id}}}
    api.create({"apiVersion": "v1", "kind": "Namespace", **namespace})
    ours = [each.path for each in entry.objects if each.path.startswith("/api/v1/namespaces/k8ssec-")]
    assert ours
    sweep = home.k8ssec("sweep")
    assert 0 == sweep.end(), sweep.output
    end = time.monotonic() + 90
    while (left := {each["metadata"]["name"] for each in api.list("/api/v1/namespaces")}) and time.monotonic() < end:
        if not any(name.startswith("k8ssec-") for name in left - {mine}):
            break
        time.sleep(1)
    assert [mine] == [name for name in sorted(left) if name.startswith("k8ssec-")]
    api.delete(f"/api/v1/namespaces/{mine}")
    assert before == Machine.now()
    assert_nothing_left(home, [])


def kinds(place: Place) -> list[str]:
    """Names of the user's kind clusters of a home."""
    return [path.name.removeprefix("users-") for path in place.root.glob("users-*")]


def test_a_users_cluster_of_the_name_that_a_killed_run_wrote_down(place: Place) -> None:
    """`k8ssec up --name dev` is killed; the user makes a kind cluster `dev`: no sweep, run or down ever takes it."""
    name = f"dev-{secrets.token_hex(4)}"
    up = place.k8ssec("up", "--name", name, f"--kind-config={place.kind_config}")
    up.until(lambda: f"creating kind cluster {name}" in up.output, "a cluster")
    up.send(signal.SIGKILL)
    up.end()
    assert [] == still_running(place)
    kind("delete", "cluster", "--name", name, "--kubeconfig", str(place.root / "none"))
    with users_cluster(place, name):
        beside = Machine.now()
        down = place.k8ssec("down", name)
        assert 1 == down.end(), down.output
        assert f"cluster {name!r}: was not made by k8ssec, so it is not removed" in down.output
        sweep = place.k8ssec("sweep")
        assert 0 == sweep.end(), sweep.output
        file = place.file("test_next.py", "def test_next(cluster): pass\n")
        place.pytest(str(file), "--k8ssec-cluster=there-is-none").end()
        assert beside == Machine.now()
        assert_nothing_left(place, [])
