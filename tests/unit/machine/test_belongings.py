"""Whose a container is: what a name, a label, a time and a mount say together, and what none of them says alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_k8ssec.machine import belongings, docker, ledger
from pytest_k8ssec.machine.ledger import Run
from tests.unit.machine.dockers import FakeDocker

MINUTE = 60.0


@pytest.fixture
def dead() -> ledger.Recorded:
    """A run that wrote a cluster and a container ahead, recorded nothing, and last gave a sign a minute later."""
    run = Run.begin()
    run.will_create("cluster", "dev")
    run.will_create("container", "dev-from-outside")
    run.release()
    entry = ledger.read_run(run.directory, alive=False)
    return replace(entry, last_sign=entry.announced[-1].at + MINUTE)


@pytest.mark.parametrize(
    ("name", "after", "marked", "is_ours"),
    [
        ("dev-control-plane", 1.0, True, True),
        ("dev-worker3", 1.0, True, True),
        ("dev-external-load-balancer", 1.0, False, True),
        ("dev-control-plane", 1.0, False, False),
        ("dev-control-plane", -1.0, True, True),  # the daemon's clock is behind
        ("dev-control-plane", MINUTE + 1, True, True),  # or ahead
        ("dev-control-plane", MINUTE + 1, False, False),
        ("dev-external-load-balancer", MINUTE + 1, False, False),
        ("dev-external-load-balancer", -1.0, False, False),
        ("my-dev-control-plane", 1.0, True, False),
        ("dev-control-plane-of-mine", 1.0, True, False),
        ("mine", 1.0, True, False),
    ],
)
def test_a_node_that_nobody_recorded(
    fake_docker: FakeDocker, dead: ledger.Recorded, name: str, after: float, marked: bool, is_ours: bool
) -> None:
    """It is the run's by its name, its time and the run's folder in it together; else it is told of and left."""
    binds = ["/etc", str(dead.run.mark)] if marked else ["/etc"]
    if name.endswith("balancer"):
        node = fake_docker.container("dev-control-plane", docker.KIND_LABEL, "dev", binds=[str(dead.run.mark)])
        dead.run.made(docker.described([node]))
        dead = replace(ledger.read_run(dead.run.directory), last_sign=dead.last_sign)
    created = dead.announced[0].at + after
    identity = fake_docker.container(name, docker.KIND_LABEL, "dev", created=created, binds=binds)
    found = belongings.of(dead)
    assert (identity in {each.id for each in found.ours}) is is_ours
    assert (identity in {each.id for each in found.others}) is not is_ours


@pytest.mark.parametrize("theirs", [0, 1, 2])
def test_a_load_balancer_before_nodes_of_somebody_elses_is_theirs(
    fake_docker: FakeDocker, dead: ledger.Recorded, theirs: int
) -> None:
    """Nothing is mounted into it: whose it is, its nodes tell; where there is none, nobody can."""
    created = dead.announced[0].at + 1
    for number in range(theirs):
        fake_docker.container(f"dev-control-plane{number}", docker.KIND_LABEL, "dev", created=created)
    fake_docker.container("dev-external-load-balancer", docker.KIND_LABEL, "dev", created=created)
    assert () == belongings.of(dead).ours


@pytest.mark.parametrize(
    ("name", "label", "after", "is_ours"),
    [
        ("dev-from-outside", "run", 1.0, True),
        ("dev-from-outside", "run", MINUTE + 1, False),
        ("dev-from-outside", "run", -1.0, False),
        ("dev-from-outside", "", 1.0, False),
        ("dev-from-inside", "run", 1.0, False),
    ],
)
def test_a_container_that_nobody_recorded(
    fake_docker: FakeDocker, dead: ledger.Recorded, name: str, label: str, after: float, is_ours: bool
) -> None:
    """The same, with the run's label in the folder's place."""
    value = dead.run.id if label == "run" else "0"
    identity = fake_docker.container(name, docker.RUN_LABEL, value, created=dead.announced[1].at + after)
    found = belongings.of(dead)
    assert ([identity] if is_ours else []) == [each.id for each in found.ours]
    assert ([] if is_ours else [identity]) == [each.id for each in found.others]


def test_a_recorded_one_is_ours_whatever_it_is_called_by_now(fake_docker: FakeDocker, dead: ledger.Recorded) -> None:
    """An id is never given twice."""
    identity = fake_docker.container("renamed", "com.example", "x", created=1.0)
    dead.run.made(docker.described([identity]))
    dead.run.made(docker.described([identity]))
    entry = ledger.read_run(dead.run.directory)
    assert [identity] == [each.id for each in entry.made], "written down once"
    assert [identity] == [each.id for each in belongings.of(entry).ours]


def test_a_record_of_before_times_were_written_down_names_nothing(
    fake_docker: FakeDocker, dead: ledger.Recorded
) -> None:
    """An older version's: by names alone nothing is removed."""
    record = dead.run.directory / "record.jsonl"
    record.write_text('{"started": 1, "pid": 1}\n{"kind": "cluster", "name": "dev"}\n')
    fake_docker.container("dev-external-load-balancer", docker.KIND_LABEL, "dev")
    found = belongings.of(replace(ledger.read_run(dead.run.directory), last_sign=dead.last_sign + 1e6))
    assert ((), 1) == (found.ours, len(found.others))


def test_strangers_are_not_even_looked_at(fake_docker: FakeDocker, dead: ledger.Recorded) -> None:
    """Another cluster's nodes, another run's containers."""
    fake_docker.container("prod-control-plane", docker.KIND_LABEL, "prod")
    fake_docker.container("k8ssec-0123abcd-from-outside", docker.RUN_LABEL, "0123abcd")
    assert belongings.Belongings((), ()) == belongings.of(dead)


def test_what_a_living_run_made_until_now(fake_docker: FakeDocker) -> None:
    """Its last sign of life is this very moment."""
    run = Run.begin()
    run.will_create("container", "x")
    identity = fake_docker.container("x", docker.RUN_LABEL, run.id)
    assert [identity] == [each.id for each in belongings.of_living(run)]
    run.end()
