"""What a workload's process runs under: a filter is seen or not, and AppArmor counts only where pods have it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.remote import agent
from pytest_k8ssec.controls.wl import __name__ as wl_name
from pytest_k8ssec.controls.wl.seccomp import test_wl_seccomp as seccomp
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import POD, FakeVantage, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack

Seen = dict[str, Any]
BROKEN: Seen = {"outcome": "error"}


def seen(seccomp_mode: int, profile: str | None = None) -> Seen:
    """What a process finds in /proc/self."""
    return {"outcome": "done", "facts": {"seccomp": seccomp_mode, "apparmor": profile}}


def pod(sees: Seen, made: Seen | None = None) -> Pod:
    """A pod that sees this of itself; what becomes of its system calls follows from that, if it is not said."""
    if made is None:
        free = sees.get("facts", {}).get("seccomp") == 0
        made = BROKEN if sees is BROKEN else calls("made") if free else calls("EPERM")
    answers = {"privileges": sees, "system-calls": made}
    return Pod(cast("Any", FakeVantage(lambda task: answers[task["op"]])), "uid", "nonce")


def calls(*became: str) -> Seen:
    """What became of system calls: of all three, or of each."""
    names = ("keyctl", "kcmp", "get_mempolicy")
    return {"outcome": "done", "facts": dict(zip(names, became * 3 if len(became) == 1 else became, strict=True))}


@dataclass
class World:
    """A stack of one Deployment, its cluster and its pool of pods."""

    twins: Mapping[str, Seen]
    """By the container's name."""
    usual: Seen
    """What a pod sees that asks for nothing."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    made: Seen | None = None
    """What becomes of a twin's system calls, where that is not what follows from its filter."""

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def workloads(self) -> tuple[Workload, ...]:
        """One; the last container is an init container."""
        *main, last = ({"name": name} for name in self.twins)
        own = {"automountServiceAccountToken": False, "containers": main or [last], **self.spec}
        template = {"spec": {**own, "initContainers": [last] if main else []}}
        return (Workload("Deployment", "web", "shop", {}, {"matchLabels": {"app": "shop"}}, template),)

    def list(self, _path: str, **_: str) -> list[Any]:
        """No live pods."""
        return []

    def namespace(self, name: str) -> str:
        """One of ours."""
        return name

    def lease(self, *specs: PodSpec) -> Sequence[Pod]:
        """Pods that ask for nothing."""
        return [pod(self.usual) for _ in specs]

    @contextmanager
    def lease_lots(self, *specs: PodSpec) -> Iterator[Iterator[dict[int, Pod]]]:
        """The twins, all at once."""
        names = [(spec.template or {})["spec"]["containers"][0]["name"] for spec in specs]
        yield iter([{number: pod(self.twins[name], self.made) for number, name in enumerate(names)}])


def judged(
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    free: Seen,
    allowed: Mapping[str, str] | None = None,
    free_made: Seen | None = None,
) -> Judge:
    """The control, beside a pod that may do everything and sees this."""

    def unrestricted(_: object, nodes: Iterable[str]) -> dict[str, Pod]:
        return {node: pod(free, free_made) for node in nodes}

    monkeypatch.setattr(f"{wl_name}.unrestricted_pods", unrestricted)
    judge = judge_of(seccomp)
    seccomp(judge, cast("Stack", world), cast("Pool", world), allowed or {})
    return judge


@pytest.mark.parametrize(
    ("twin", "free", "usual", "expected"),
    [
        (seen(2), seen(0), seen(2), Verdict.HELD),
        (seen(0), seen(0), seen(2), Verdict.BREACHED),
        (seen(1), seen(0), seen(2), Verdict.INCONCLUSIVE),
        (BROKEN, seen(0), seen(2), Verdict.INCONCLUSIVE),
        (seen(2), seen(2), seen(2), Verdict.INCONCLUSIVE),
        (seen(2), BROKEN, seen(2), Verdict.INCONCLUSIVE),
        (seen(2, "cri (enforce)"), seen(0, "unconfined"), seen(2, "cri (enforce)"), Verdict.HELD),
        (seen(2, "unconfined"), seen(0, "unconfined"), seen(2, "cri (enforce)"), Verdict.BREACHED),
        (seen(2, "mine (complain)"), seen(0, "unconfined"), seen(2, "cri (enforce)"), Verdict.BREACHED),
        (seen(2, ""), seen(0, "unconfined"), seen(2, "cri (enforce)"), Verdict.INCONCLUSIVE),
        (seen(2, "cri (enforce)"), seen(0, "cri (enforce)"), seen(2, "cri (enforce)"), Verdict.INCONCLUSIVE),
        (seen(2, "cri (enforce)"), seen(0, "unconfined"), seen(2, ""), Verdict.INCONCLUSIVE),
        (seen(2, "cri (enforce)"), seen(0, "unconfined"), BROKEN, Verdict.INCONCLUSIVE),
        (seen(2, "unconfined"), seen(0, "unconfined"), seen(2, "unconfined"), Verdict.HELD),
    ],
    ids=[
        "filtered", "free", "odd", "broken", "not-shown", "free-broken", "confined", "unconfined", "complaining",
        "unreadable", "profile-not-shown", "usual-unreadable", "usual-broken", "runtime-without",
    ],
)  # fmt: skip
def test_what_a_container_runs_under(
    monkeypatch: pytest.MonkeyPatch, twin: Seen, free: Seen, usual: Seen, expected: Verdict
) -> None:
    """A filter is believed where none would be seen, and AppArmor is asked for where a usual pod has a profile."""
    assert expected is judged(monkeypatch, World({"main": twin}, usual), free).verdict()[0]


@pytest.mark.parametrize(
    ("made", "free_made", "expected"),
    [
        (calls("EPERM"), calls("made"), Verdict.HELD),
        (calls("killed", "made", "made"), calls("ENOKEY", "made", "made"), Verdict.HELD),
        (calls("ENOSYS"), calls("made"), Verdict.HELD),
        (calls("ENOKEY", "made", "made"), calls("ENOKEY", "made", "made"), Verdict.BREACHED),
        (calls("made", "made", "ENOSYS"), calls("made", "made", "ENOSYS"), Verdict.BREACHED),
        (calls("ENOSYS"), calls("ENOSYS"), Verdict.INCONCLUSIVE),
        (calls("EPERM"), BROKEN, Verdict.INCONCLUSIVE),
        (BROKEN, calls("made"), Verdict.INCONCLUSIVE),
        ({"outcome": "done", "facts": {"kcmp": "EPERM"}}, calls("made"), Verdict.INCONCLUSIVE),
    ],
    ids=["refused", "one-refused", "unknown-to-it", "hollow", "hollow-but-for-the-kernel", "kernel-without", "not-shown",
         "broken", "not-all-told"],
)  # fmt: skip
def test_a_filter_that_refuses_nothing_is_none(
    monkeypatch: pytest.MonkeyPatch, made: Seen, free_made: Seen, expected: Verdict
) -> None:
    """Of what the kernel does for others; a call that nobody makes there says nothing."""
    world = World({"main": seen(2)}, seen(2), made=made)
    assert expected is judged(monkeypatch, world, seen(0), free_made=free_made).verdict()[0]


@pytest.mark.parametrize("check", ["seccomp filter", "system call"])
def test_what_no_attack_tried_is_not_held(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    """Both are tried of each container."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, check))
    assert Verdict.INCONCLUSIVE is judged(monkeypatch, World({"main": seen(2)}, seen(2)), seen(0)).verdict()[0]


def test_each_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Init containers too; an exception for one of them spares that one only."""
    world = World({"main": seen(2), "sidecar": seen(0), "set-up": seen(0)}, seen(2))
    judge = judged(monkeypatch, world, seen(0))
    through = list(dict.fromkeys(attack.case for attack in judge.attacks if attack.through))
    assert [f"Deployment web/shop, container {name}" for name in ("sidecar", "set-up")] == through
    spared = judged(monkeypatch, world, seen(0), {"web/shop/sidecar": "must", "web/shop/set-up": "must"})
    assert Verdict.HELD is spared.verdict()[0]
    assert Verdict.BREACHED is judged(monkeypatch, world, seen(0), {"web/shop/sidecar": "must"}).verdict()[0]


@pytest.mark.parametrize(
    ("usual", "told"), [(seen(2), True), (seen(2, "unconfined"), True), (seen(2, "cri (enforce)"), False)]
)
def test_a_node_without_app_armor_is_told(monkeypatch: pytest.MonkeyPatch, usual: Seen, told: bool) -> None:
    """Once a node."""
    world = World(dict.fromkeys(("main", "set-up"), seen(2, "cri (enforce)")), usual)
    judge = judged(monkeypatch, world, seen(0, "unconfined"))
    assert [f"node {POD.node}: gives no pod an AppArmor profile, so none is asked for there"] * told == [
        note for note in judge.notes if note.startswith("node ")
    ]


@pytest.mark.parametrize(("kind", "told"), [("Localhost", True), ("RuntimeDefault", False)])
def test_a_profile_of_ones_own_is_told(monkeypatch: pytest.MonkeyPatch, kind: str, told: bool) -> None:
    """It is a filter, and nobody knows how much it lets through."""
    world = World({"main": seen(2)}, seen(2), {"securityContext": {"seccompProfile": {"type": kind}}})
    assert told is any("its own" in note for note in judged(monkeypatch, world, seen(0)).notes)


def test_the_agent_makes_harmless_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a child of its own; where it does not know their numbers it says so."""
    found = agent.system_calls({})
    assert ("done", {"keyctl", "kcmp", "get_mempolicy"}) == (found["outcome"], set(found["facts"]))
    assert "made" == agent.called(agent.CALLS[os.uname().machine]["kcmp"], os.getpid(), os.getpid(), 0, 0, 0)
    assert "ENOSYS" == agent.called(9999)
    monkeypatch.setattr(agent, "CALLS", {})
    assert "error" == agent.system_calls({})["outcome"]


@pytest.mark.parametrize(
    ("enabled", "profile", "expected"),
    [("Y\n", "cri-containerd.apparmor.d (enforce)\n", "cri-containerd.apparmor.d (enforce)"),
     ("Y\n", "unconfined\n\0", "unconfined"), ("Y\n", None, ""), ("N\n", "unconfined", None), (None, None, None)],
)  # fmt: skip
def test_the_agent_reads_its_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, enabled: str | None, profile: str | None, expected: str | None
) -> None:
    """None where the kernel has no AppArmor; a profile that can't be read is no profile that is absent."""
    for name, text in (("enabled", enabled), ("current", profile)):
        if text is not None:
            (tmp_path / name).write_text(text)
    monkeypatch.setattr(agent, "APPARMOR", str(tmp_path / "enabled"))
    monkeypatch.setattr(agent, "PROFILES", (str(tmp_path / "of-its-own"), str(tmp_path / "current")))
    assert expected == agent.apparmor()
