"""Thawed where there is a frozen cluster, else made and frozen; whatever goes wrong is one line, and kind makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_k8ssec.clusters import kind
from pytest_k8ssec.clusters.frozen import shelf, supply
from pytest_k8ssec.clusters.frozen.shelf import FrozenCluster
from pytest_k8ssec.clusters.frozen.strays import CACHE_LABEL, this_cache
from pytest_k8ssec.clusters.frozen.variant import UNCHANGED, CannotThaw, Variant
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.errors import ClusterError, CommandError, K8ssecError, ProbeError
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.tools import Image, Tool
from tests.unit.clusters.frozen import put_entry
from tests.unit.machine.dockers import FakeDocker

KEY = "0123456789abcdef"
HOST_NAME = 63
"""Characters that one may have."""


class Workshop:
    """Stands for kind, for freezing and for thawing: writes down what is asked of it, and fails where it is told to."""

    def __init__(self, fake: FakeDocker) -> None:
        self.done: list[str] = []
        self.said: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.changes = UNCHANGED
        self.templates: list[str] = []
        self._fake = fake

    def _do(self, what: str) -> None:
        self.done.append(what)
        if error := self.fails.get(what):
            raise error

    def create(self, _config: object, _owner: object, *, kept_name: str, suffix: str = "", **_: object) -> Any:
        """What kind makes: a template, or the run's own cluster."""
        what = "template" if suffix == "template" else "kind"
        self._do(what)
        if what == "template":
            self.templates.append(kept_name)
        else:
            assert kept_name == ("" if suffix else "dev")
        return SimpleNamespace(made=what, close=lambda: self.done.append(f"{what} removed"))

    def freeze(self, *_: object) -> FrozenCluster:
        """An entry with its image."""
        self._do("freeze")
        return put_entry(self._fake, KEY)

    def thaw(self, *_: object, changes: Variant, **__: object) -> Any:
        """A copy."""
        self._do("thaw")
        self.changes = changes
        return SimpleNamespace(made="thaw")


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch, fake_docker: FakeDocker) -> Workshop:
    """What supply works with."""
    made = Workshop(fake_docker)
    monkeypatch.setattr(kind, "create", made.create)
    monkeypatch.setattr(supply, "freeze_cluster", made.freeze)
    monkeypatch.setattr(supply, "thaw_cluster", made.thaw)
    monkeypatch.setattr(supply, "key_of", lambda *_, **__: KEY)
    return made


@pytest.fixture
def order(workshop: Workshop) -> Iterator[supply.Order]:
    """For a cluster of the packaged configuration."""
    run = Run.begin()
    image = Image("image", "v1", "PATH")
    yield supply.Order(
        KindConfig.load(PACKAGED), run, Tool(Path("kind"), "v0", "PATH"), image, image, "packaged", "dev",
        workshop.said.append,
    )  # fmt: skip
    run.end()


def made(order: supply.Order) -> str:
    """Who made the cluster."""
    return str(supply.supply(order).made)  # type: ignore[attr-defined] # a stand-in's


def test_the_first_run_freezes_and_the_second_thaws(workshop: Workshop, order: supply.Order) -> None:
    """What was frozen is removed before its copy starts."""
    assert "thaw" == made(order)
    assert ["template", "freeze", "template removed", "thaw"] == workshop.done
    assert "thaw" == made(order)
    assert ["thaw"] == workshop.done[4:]


@pytest.fixture
def sabotaged(order: supply.Order) -> supply.Order:
    """For a variant of that cluster."""
    config = order.config.copy()
    config.kubelet(readOnlyPort=10255)
    return replace(order, config=config, variant="read-only-port", intact=order.config, name="")


def test_a_variant_is_a_changed_copy_of_the_intact_cluster(
    workshop: Workshop, sabotaged: supply.Order, fake_docker: FakeDocker
) -> None:
    """What changes is handed to the copy; the entry stays whatever becomes of it."""
    put_entry(fake_docker, KEY)
    assert "thaw" == made(sabotaged)
    assert ({"kind": "KubeletConfiguration", "readOnlyPort": 10255},) == workshop.changes.patches
    workshop.fails["thaw"] = ClusterError("cluster dev: nodes not ready")
    assert "kind" == made(sabotaged)
    assert "a changed copy does not get ready, so kind makes the cluster: cluster dev: nodes not ready" in workshop.said
    assert shelf.take_from(KEY) is not None


def test_a_change_that_can_not_be_made_is_no_error(
    workshop: Workshop, sabotaged: supply.Order, fake_docker: FakeDocker
) -> None:
    """It is told in one line, and the entry, which can't help it, stays."""
    put_entry(fake_docker, KEY)
    workshop.fails["thaw"] = CannotThaw("the configuration of a can't be patched")
    assert "kind" == made(sabotaged)
    why = "the configuration of a can't be patched"
    assert f"a cluster like this one is not frozen, so kind makes it: {why}" == workshop.said[-1]
    assert shelf.take_from(KEY) is not None


def test_a_variant_is_made_by_kind_where_nothing_is_frozen_or_it_differs_in_more(
    workshop: Workshop, sabotaged: supply.Order, fake_docker: FakeDocker
) -> None:
    """A template would cost more than it brings to this one cluster."""
    assert "kind" == made(sabotaged)
    assert ["kind"] == workshop.done
    put_entry(fake_docker, KEY)
    sabotaged.config.document["networking"] = {"apiServerAddress": "0.0.0.0"}
    assert "kind" == made(sabotaged)
    assert workshop.said[-1].endswith("so kind makes it: `networking` of its kind configuration differs")


def test_a_fresh_cluster_is_made_by_kind(workshop: Workshop, order: supply.Order, fake_docker: FakeDocker) -> None:
    """Also where there is a frozen one."""
    put_entry(fake_docker, KEY)
    supply.supply(order, fresh=True)
    assert ["kind"] == workshop.done


def test_one_that_does_not_get_ready_is_made_anew(
    workshop: Workshop, order: supply.Order, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entry goes: the next run would find it as broken."""
    put_entry(fake_docker, KEY)
    workshop.fails["thaw"] = ClusterError("cluster dev: nodes not ready", details="warning: ...\nerror: no space left")
    thaw = workshop.thaw

    def twice(*_: object, changes: Variant, **__: object) -> Any:
        try:
            return thaw(changes=changes)
        finally:
            if 2 == workshop.done.count("thaw"):
                workshop.fails.clear()

    monkeypatch.setattr(supply, "thaw_cluster", twice)
    assert "thaw" == made(order)
    assert ["thaw", "thaw", "template", "freeze", "template removed", "thaw"] == workshop.done
    why = "cluster dev: nodes not ready: error: no space left"  # with what the nodes said last
    assert [f"the frozen cluster does not get ready, so it is made anew: {why}"] == [
        line for line in workshop.said if "anew" in line
    ]


def test_of_one_that_does_not_get_ready_another_copy_is_made(
    workshop: Workshop, order: supply.Order, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it met, as a machine that was too busy, is not the entry's fault: that stays."""
    put_entry(fake_docker, KEY)
    workshop.fails["thaw"] = ClusterError("cluster dev: nodes not ready", details="kubeadm hangs")
    thaw = workshop.thaw

    def once(*_: object, changes: Variant, **__: object) -> Any:
        try:
            return thaw(changes=changes)
        finally:
            workshop.fails.clear()

    monkeypatch.setattr(supply, "thaw_cluster", once)
    assert "thaw" == made(order)
    assert ["thaw", "thaw"] == workshop.done
    assert (
        "a copy does not get ready, so another one is made: cluster dev: nodes not ready: kubeadm hangs"
        in workshop.said
    )
    assert shelf.take_from(KEY) is not None


@pytest.mark.parametrize("kind_of_error", [CommandError, ProbeError])
def test_one_that_never_gets_ready_is_made_by_kind(
    workshop: Workshop, order: supply.Order, fake_docker: FakeDocker, kind_of_error: type[K8ssecError]
) -> None:
    """Right after it was frozen; no entry is left, and the next runs do not try for a day."""
    workshop.fails["thaw"] = kind_of_error("docker create: exit code 1")
    assert "kind" == made(order)
    assert 1 == workshop.done.count("freeze")
    assert [] == fake_docker.images
    workshop.done.clear()
    assert "kind" == made(order)
    assert ["kind"] == workshop.done


@pytest.mark.parametrize("kind_of_error", [ClusterError, CommandError, ProbeError])
def test_what_can_not_be_frozen_is_made_by_kind(
    workshop: Workshop, order: supply.Order, kind_of_error: type[K8ssecError]
) -> None:
    """That is told in one line, and remembered."""
    workshop.fails["freeze"] = kind_of_error("node a: objects are encrypted\nmore")
    for _ in range(2):
        assert "kind" == made(order)
    assert ["template", "freeze", "template removed", "kind", "kind"] == workshop.done
    assert ["a cluster like this one is not frozen, so kind makes it: node a: objects are encrypted"] * 2 == [
        line for line in workshop.said if "not frozen" in line
    ]


def test_two_runs_with_caches_of_their_own_freeze_side_by_side(
    workshop: Workshop, order: supply.Order, fake_docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two users, or of one with two folders; they share docker's names, and no lock."""
    assert "thaw" == made(order)
    (first,) = workshop.templates
    fake_docker.container(f"{first}-control-plane", docker.KIND_LABEL, first)
    monkeypatch.setenv("K8SSEC_CACHE", str(tmp_path / "another"))
    other = Run.begin()
    assert "thaw" == made(replace(order, owner=other))
    other.end()
    assert 2 == len(set(workshop.templates))
    assert {KEY[:8]} == {name.removeprefix("k8ssec-frozen-").partition("-")[0] for name in workshop.templates}
    assert all(len(f"{name}-control-plane") <= HOST_NAME for name in workshop.templates)


def test_what_kind_refuses_is_told_as_kind_does(workshop: Workshop, order: supply.Order) -> None:
    """It would refuse it a second time."""
    workshop.fails["template"] = ClusterError("kind config: kind refuses it")
    with pytest.raises(ClusterError, match="kind refuses it"):
        made(order)
    assert ["template"] == workshop.done


def test_a_daemon_that_is_gone_is_no_reason_to_go_on(workshop: Workshop, order: supply.Order) -> None:
    """Nothing would come of it."""
    workshop.fails["freeze"] = docker.DaemonGone("docker daemon: none answers")
    with pytest.raises(docker.DaemonGone):
        made(order)
    assert "" == shelf.failure(KEY)


def test_several_control_planes_are_made_by_kind(workshop: Workshop, order: supply.Order) -> None:
    """Nothing is tried."""
    order.config.document["nodes"].append({"role": "control-plane"})
    assert "kind" == made(order)
    assert ["kind"] == workshop.done


def test_a_template_of_somebody_elses_is_left(workshop: Workshop, order: supply.Order, fake_docker: FakeDocker) -> None:
    """Whatever is called so."""
    name = f"k8ssec-frozen-{KEY[:8]}-{order.owner.id}"
    fake_docker.container(f"{name}-control-plane", docker.KIND_LABEL, name)
    assert "kind" == made(order)
    assert ["kind"] == workshop.done


def test_what_no_cache_knows_goes_after_a_cluster_was_frozen(
    workshop: Workshop, order: supply.Order, fake_docker: FakeDocker
) -> None:
    """What an earlier cache here left behind."""
    fake_docker.image("k8ssec/frozen:stray", labels={shelf.FROZEN_LABEL: "bb", CACHE_LABEL: this_cache()})
    assert "thaw" == made(order)
    assert ["k8ssec/frozen:0123456789abcdef-0"] == fake_docker.images
    assert "removed 1 images of frozen clusters that no cache knows" in workshop.said


def test_what_can_not_be_tidied_up_does_not_undo_a_frozen_cluster(
    workshop: Workshop, order: supply.Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is an entry, and it is thawed."""

    def refuse(_limit: int) -> list[FrozenCluster]:
        raise CommandError("docker image rm: exit code 1")

    monkeypatch.setattr(shelf, "make_room", refuse)
    assert "thaw" == made(order)
    assert "" == shelf.failure(KEY)
    assert [line for line in workshop.said if line.endswith("was not removed: docker image rm: exit code 1")]


def test_a_cache_that_is_not_ours_is_no_error(
    workshop: Workshop, order: supply.Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a place for its record nothing is frozen."""

    def refuse(_key: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shelf, "failure", refuse)
    assert "kind" == made(order)
    assert 1 == len(workshop.said)
