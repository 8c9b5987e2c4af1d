"""Many connections of random scenes: what the table gives beside what the specification gives. ``make test-engine`` has 100,000."""

from __future__ import annotations

import os
import random
from collections import Counter

from pytest_k8ssec.facts.admin_policies import AdminPolicy, unread
from pytest_k8ssec.facts.policy_table import PolicyTable
from tests.unit.facts import policy_scenes, policy_semantics
from tests.unit.facts.policy_scenes import NODE_LABELS

CELLS = int(os.environ.get("K8SSEC_ENGINE_CELLS") or 6000)
SEED = int(os.environ.get("K8SSEC_ENGINE_SEED") or 1)
LEAST = 0.02
"""The share of each answer, of each kind of policy that decides, and of each kind of end."""


def test_no_cell_differs() -> None:
    """Every kind of policy, of end and of answer has its share: else the comparison would be about little."""
    chance = random.Random(SEED)
    told: Counter[str] = Counter()
    different: list[str] = []
    while told["cells"] < CELLS:
        seed = chance.randrange(10**9)
        different += compared(seed, told, CELLS - told["cells"])
    shares = ", ".join(f"{what} {count}" for what, count in sorted(told.items()))
    print(f"seed {SEED}: {shares}; {len(different)} different")  # noqa: T201 - what `make test-engine` is run for
    assert [] == different[:5]
    few = [what for what, count in told.items() if count < LEAST * told["cells"]]
    assert [] == few
    assert {
        "True",
        "False",
        "None",
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "ClusterNetworkPolicy",
    } <= told.keys()


def compared(seed: int, told: Counter[str], most: int) -> list[str]:
    """One scene; the cells that differ, each with the seed that makes it again."""
    chance = random.Random(seed)
    ends = policy_scenes.ends(chance, 10)
    policies = policy_scenes.policies(chance, chance.randint(0, 8))
    admin = policy_scenes.admin(chance, chance.randint(0, 4))
    targets = policy_scenes.entrances(chance, ends)
    read = [AdminPolicy(each["kind"], each) for each in admin]
    assert not any(map(unread, read)), seed
    table = PolicyTable(policies, ends, targets, read, NODE_LABELS)
    different: list[str] = []
    cells = [(number, at) for number in range(len(ends)) for at in range(len(targets))]
    for number, at in chance.sample(cells, min(most, len(cells), 150)):
        wanted = policy_semantics.admits(policies, ends[number], *targets[at], admin, NODE_LABELS)
        said = table.answer(number, at)
        reasons = table.decided_by(number, at)
        told.update(["cells", str(said), *(each.kind for each in read if str(each) in reasons)])
        told["hosted ends"] += bool(ends[number].hosted or targets[at][0].hosted)
        told["NetworkPolicy"] += "NetworkPolicy " in reasons.replace("AdminNetworkPolicy ", "").replace(
            "ClusterNetworkPolicy ", ""
        )
        if said is not wanted:
            different.append(
                f"scene {seed}, from {number} to {at}: {said}, and the specification says {wanted} ({reasons})"
            )
    return different
