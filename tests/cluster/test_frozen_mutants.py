"""A frozen copy that a sabotage's configuration changed is judged as a cluster that kind made of that configuration.

All controls that do not need a stack run beside each pack of sabotages that has a cluster of its own, once on changed copies
and once on clusters made by kind. ``make test-cluster`` does one pack, drawn by K8SSEC_MUTANTS_SEED; K8SSEC_MUTANTS=all
(`make test-mutants`) does all.
"""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Iterator, Sequence

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, packaged_controls
from pytest_k8ssec.clusters.frozen.variant import CannotThaw, variant_of
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.plugin.known_packs import KnownPacks
from pytest_k8ssec.sabotages.packs import Pack
from tests.cluster.harness import Place

SEED = int(os.environ.get("K8SSEC_MUTANTS_SEED") or secrets.randbelow(10**6))
Verdicts = dict[tuple[str, str], str]
"""Verdict by control and test."""


def can_thaw(pack: Pack) -> bool:
    """Whether a changed copy can stand for a cluster that kind makes."""
    intact = KindConfig.load(PACKAGED)
    changed = intact.copy()
    for each in pack.members:
        assert each.mutate is not None
        each.mutate(changed)
    try:
        variant_of(intact, changed)
    except CannotThaw:
        return False
    return True


def drawn() -> list[Pack]:
    """The packs of this run, of those that can be thawed."""
    packs = [each for each in KnownPacks(packaged_controls(), together=True) if each.needs_cluster and can_thaw(each)]
    assert len(packs) > 2, "else this proves next to nothing"
    return packs if os.environ.get("K8SSEC_MUTANTS") == "all" else random.Random(SEED).sample(packs, 1)


def chosen(packs: Sequence[Pack]) -> Iterator[str]:
    """What `-k` says of all phases that belong to the packs."""
    for pack in packs:
        yield f"beside-{pack.name}"
        for control in packaged_controls():
            for sabotage in pack.made_for(control.id):
                mark = f"sabotaged-{sabotage.name}" if len(control.sabotages) > 1 else "sabotaged"
                yield f"({control.function.__name__} and {mark})"


def judged(place: Place, packs: Sequence[Pack], *, fresh: bool) -> tuple[Verdicts, str]:
    """The verdicts of one run, and what it printed."""
    report = place.root / f"report-{'fresh' if fresh else 'frozen'}"
    cluster_only = [each.function.__name__ for each in packaged_controls() if each.subject == "cluster"]
    ran = place.pytest(
        "--k8ssec-controls", str(CONTROLS_FOLDER), "--k8ssec-sabotage", "--k8ssec-packed",
        "-k", f"({' or '.join(chosen(packs))}) and ({' or '.join(cluster_only)})", f"--k8ssec-report={report}",
        environ={"K8SSEC_FRESH": "1" if fresh else "0"},
    )  # fmt: skip
    ran.end(seconds=1800)
    found = json.loads((report / "report.json").read_text())["results"]
    return {(each["control"], each["test"]): each["verdict"] for each in found}, ran.output


def test_a_changed_copy_is_judged_as_a_cluster_that_kind_made(place: Place) -> None:
    """The same verdict of each control: those that must notice, those that must not, and on the intact cluster."""
    packs = drawn()
    frozen, said = judged(place, packs, fresh=False)
    for pack in packs:
        assert f"2 nodes, {pack.name})" in said, said
    assert said.count("thawing cluster") == 1 + len(packs), said
    fresh, told = judged(place, packs, fresh=True)
    assert "thawing" not in told
    assert fresh == frozen, f"seed {SEED}\n{said}\n{told}"
    assert {"breached", "held"} <= set(frozen.values()), frozen
