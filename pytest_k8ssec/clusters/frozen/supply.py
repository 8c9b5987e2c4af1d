"""A cluster for a run: thawed where there is a frozen one like it, else made by kind, and frozen for the next run."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_k8ssec.clusters import kind as making
from pytest_k8ssec.clusters.frozen import shelf
from pytest_k8ssec.clusters.frozen.freeze import freeze_cluster
from pytest_k8ssec.clusters.frozen.key import key_of, why_not
from pytest_k8ssec.clusters.frozen.shelf import FrozenCluster
from pytest_k8ssec.clusters.frozen.strays import remove_strays
from pytest_k8ssec.clusters.frozen.thaw import thaw_cluster
from pytest_k8ssec.clusters.frozen.variant import CannotThaw, Variant, variant_of
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import CommandError, K8ssecError
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.process import Tell
from pytest_k8ssec.machine.tools import Image, Tool

_TEMPLATE = "template"
_ANOTHER = "a copy does not get ready, so another one is made"
_ANEW = "the frozen cluster does not get ready, so it is made anew"
_NOT = "a cluster like this one is not frozen, so kind makes it"


@dataclass(frozen=True, slots=True)
class Order:
    """What cluster is wanted, and who wants it; each member means what it does for :func:`kind.create`."""

    config: KindConfig
    owner: Run
    kind: Tool
    node_image: Image
    probe_image: Image
    origin: Literal["packaged", "user"]
    name: str
    progress: Tell
    logs: Path | None = None
    variant: str = ""
    intact: KindConfig | None = None
    """The configuration that ``config`` was before a sabotage changed it; None where it is no variant."""


def supply(order: Order, *, fresh: bool = False) -> KindCluster:
    """A cluster that is ready. Where it can't be frozen or thawed that is told in one line, and kind makes it.

    Args:
        fresh: have kind make it in any case.

    Raises:
        ClusterError: as for :func:`kind.create`.
    """
    if fresh:
        return _by_kind(order)
    intact = order.intact or order.config
    try:
        why = why_not(intact)
        if not why:
            key = key_of(intact, tool=order.kind, node_image=order.node_image, probe_image=order.probe_image)
            changes = variant_of(intact, order.config)
            why = shelf.failure(key)
    except docker.DaemonGone:
        raise
    except (CannotThaw, K8ssecError, OSError) as error:
        why = _one_line(error)
    if why:
        order.progress(f"{_NOT}: {why}")
        return _by_kind(order)
    cluster = _thawed(order, key, changes)
    if cluster is None and not order.intact and _freeze(order, key):
        cluster = _thawed(order, key, changes, just_frozen=True)
    return cluster or _by_kind(order)


def _by_kind(order: Order) -> KindCluster:
    return making.create(
        order.config, order.owner, kind=order.kind, node_image=order.node_image, probe_image=order.probe_image,
        variant=order.variant, suffix=order.variant, origin=order.origin, kept_name=order.name,
        progress=order.progress, logs=order.logs,
    )  # fmt: skip


def _thawed(order: Order, key: str, changes: Variant, *, just_frozen: bool = False) -> KindCluster | None:
    """A copy of the entry of a key, None where there is none, or it does not get ready.

    An entry of which two unchanged copies do not get ready is removed: one may have met a machine that was too busy.

    Args:
        just_frozen: whether a failure would be the same with one that is made anew; it is remembered for a day then.
    """
    name = order.name or order.owner.name(order.variant)
    try:
        with shelf.using(key):
            entry = shelf.take_from(key)
            if entry is None:
                return None
            if docker.of_cluster(name):
                return None  # kind says what there is to say
            for then in (_ANOTHER, _ANEW):
                try:
                    return _copied(order, entry, name, changes)
                except docker.DaemonGone:
                    raise
                except CannotThaw as error:
                    order.progress(f"{_NOT}: {error}")
                    return None
                except K8ssecError as error:
                    if order.variant:
                        order.progress(
                            f"a changed copy does not get ready, so kind makes the cluster: {_and_why(error)}"
                        )
                        return None
                    order.progress(f"{then}: {_and_why(error)}")
                    why = _one_line(error)
            if just_frozen:
                shelf.put_failure(key, why)
        _drop(entry)
    except OSError as error:
        order.progress(f"{_NOT}: {_one_line(error)}")
    return None


def _copied(order: Order, entry: FrozenCluster, name: str, changes: Variant) -> KindCluster:
    what = f", {order.variant}" if order.variant else ""
    order.progress(f"thawing cluster {name} ({order.config.node_count} nodes{what})")
    started = time.monotonic()
    folder = "-".join(filter(None, ("cluster", order.variant)))
    shutil.rmtree(order.owner.folder(folder))  # what an earlier copy, which did not get ready, wrote there
    workdir = order.owner.folder(folder)
    cluster = thaw_cluster(
        entry, order.config.copy(), order.owner, name=name, workdir=workdir,
        probe_image=order.probe_image, origin=order.origin, variant=order.variant, changes=changes,
    )  # fmt: skip
    order.progress(f"cluster {name} ready in {time.monotonic() - started:.0f} s")
    return cluster


def _drop(entry: FrozenCluster) -> None:
    with shelf.alone(entry.key) as ours:
        if ours:
            shelf.remove(entry)


def _freeze(order: Order, key: str) -> bool:
    """Make a cluster by kind, and an entry of it. Returns whether there is one now; a failure is remembered for a day.

    Raises:
        ClusterError: kind could not make it, for this or for any other use.
    """
    try:
        with shelf.making(key):
            return _frozen(order, key)
    except OSError as error:
        order.progress(f"{_NOT}: {_one_line(error)}")
        return False


def _frozen(order: Order, key: str) -> bool:
    if shelf.take_from(key) is not None:
        return True  # another run was faster
    # Runs with other caches know nothing of this one's lock: the run's id tells their clusters apart.
    name = f"{shelf.TEMPLATE_PREFIX}{key[:8]}-{order.owner.id}"
    if docker.of_cluster(name):
        order.progress(f"{_NOT}: a cluster called {name} is there already")
        return False
    template = making.create(
        order.config, order.owner, kind=order.kind, node_image=order.node_image, probe_image=order.probe_image,
        origin=order.origin, suffix=_TEMPLATE, kept_name=name, progress=order.progress, logs=order.logs,
    )  # fmt: skip
    try:
        order.progress(f"freezing cluster {name}, for this run and later ones")
        started = time.monotonic()
        shelf.put(freeze_cluster(template, order.config, key))
        order.progress(f"frozen in {time.monotonic() - started:.0f} s")
    except docker.DaemonGone:
        raise
    except K8ssecError as error:
        shelf.put_failure(key, _one_line(error))
        order.progress(f"{_NOT}: {_one_line(error)}")
        return False
    finally:
        template.close()
    _tidy(order)
    return True


def _tidy(order: Order) -> None:
    """Remove what nobody will thaw; that there is an entry now does not depend on it."""
    try:
        for gone in shelf.make_room(shelf.limit()):
            order.progress(f"removed frozen cluster {gone.key[:12]}: too old, or the least used of too many")
        if strays := remove_strays():
            order.progress(f"removed {len(strays)} images of frozen clusters that no cache knows")
    except docker.DaemonGone:
        raise
    except (CommandError, OSError) as error:
        order.progress(f"frozen clusters: what is not needed any more was not removed: {_one_line(error)}")


def _one_line(error: BaseException) -> str:
    return str(getattr(error, "message", "") or error).split("\n", 1)[0]


def _and_why(error: K8ssecError) -> str:
    """An error's line, with the last one of what the nodes said."""
    return ": ".join(filter(None, (_one_line(error), error.details.strip().rpartition("\n")[2])))
