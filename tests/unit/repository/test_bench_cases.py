"""The cases that cyclonus generates: ours, cyclonus' own matcher and the specification give the same for each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.engine.arm import places
from bench.engine.cases import CyclonusCase, generated
from bench.engine.compare import compared
from bench.engine.run import MATCHER
from pytest_k8ssec.facts.policy_table import PolicyTable
from tests.unit.facts import policy_semantics
from toolchain.binaries import peers

LEAST = 200


@pytest.fixture(scope="module")
def matcher() -> Path:
    """The program around cyclonus, if it was built."""
    tool = peers()[MATCHER]
    if not tool.exists():
        pytest.skip("cyclonus-matcher was not built: `make bench-engine` builds it")
    return tool.binary()


def test_no_case_differs(matcher: Path, tmp_path: Path) -> None:
    """Each pod to each port of each pod, at every step."""
    cases = [*generated(matcher)]
    assert len(cases) >= LEAST
    assert [] == [words for case in cases if (words := different(case, matcher, tmp_path))]


def different(case: CyclonusCase, matcher: Path, folder: Path) -> str:
    """The case and how many cells differ; "" for none."""
    case.store(folder)
    subprocess.run([str(matcher), str(folder), str(folder / "answers")], check=True, capture_output=True, timeout=60)
    theirs = (folder / "answers").read_bytes()
    policies = [*case.policies.values()]
    sources, targets = places([*case.namespaces.values()], [*case.pods.values()])
    table = PolicyTable(policies, sources, targets)
    ours = b"".join(table.row(number) for number in range(len(sources))).translate(bytes.maketrans(b"\0\1\2", b"01?"))
    found = compared(ours, theirs, sources, targets)
    at = [(number, to) for number in range(len(sources)) for to in range(len(targets))]
    wrong = sum(
        policy_semantics.admits(policies, sources[number], *targets[to]) is not table.answer(number, to)
        for number, to in at[:: max(1, len(at) // 60)]
    )
    return (
        f"{case.words}: {found.different} differ from cyclonus, {wrong} from the specification"
        if found.different or wrong
        else ""
    )
