"""The bench: what peers' outputs are read as, and what a pair of reports is worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.mutants import ABOUT, mutants
from bench.outcome import Outcome, compared, own
from bench.peers import kdigger, kimera, kube_bench, kube_hunter
from bench.peers.interface import Report
from bench.table import page
from pytest_k8ssec.errors import ProbeError

CAPTURED = Path(__file__).parent / "peers"
"""What the tools really said, shortened."""


def said(*findings: str, unclear: tuple[str, ...] = ()) -> Report:
    """A report of these findings."""
    return Report(frozenset(findings), frozenset(unclear), ("tool --run",), 1.25)


@pytest.mark.parametrize(
    ("hardened", "broken", "expected"),
    [
        (said(), said("door: open"), Outcome.DETECTED),
        (said("door: creaks"), said("door: creaks", "door: open"), Outcome.DETECTED),
        (said("door: creaks"), said("door: creaks"), Outcome.FALSE_ALARM),
        (said("door: creaks"), said(), Outcome.MISSED),
        (said(), said("roof: leaks"), Outcome.MISSED),
        (said(), said(unclear=("door: locked for me",)), Outcome.UNCLEAR),
        (said(), said("door: open", unclear=("door: locked for me",)), Outcome.DETECTED),
        (said("door: creaks"), said("door: creaks", unclear=("door: ?",)), Outcome.UNCLEAR),
    ],
)
def test_a_weakness_is_detected_by_what_the_hardened_cluster_does_not_have(
    hardened: Report, broken: Report, expected: Outcome
) -> None:
    """A finding that is always there tells nothing, and one about something else neither."""
    cell = compared(r"^door: ", hardened, broken)
    assert expected is cell.outcome
    assert 1.25 == cell.seconds


@pytest.mark.parametrize(
    ("intact", "broken", "expected"),
    [
        ("held", "breached", Outcome.DETECTED),
        ("held", "held", Outcome.MISSED),
        ("held", "inconclusive", Outcome.UNCLEAR),
        ("breached", "breached", Outcome.FALSE_ALARM),
        ("inconclusive", "breached", Outcome.DETECTED),
    ],
)
def test_our_own_verdict_is_measured_by_the_same_rule(intact: str, broken: str, expected: Outcome) -> None:
    """A breach of the hardened cluster is a false alarm, inconclusive is no detection."""
    assert expected is own(intact, broken, 1.0).outcome


def test_a_name_that_no_control_declares_is_told_and_left_out() -> None:
    """Sabotages come and go with their controls."""
    found, absent = mutants(frozenset({"no-client-certificates", "no-such-sabotage"}))
    assert ["no-client-certificates"] == [mutant.name for mutant in found]
    assert ["no-such-sabotage"] == absent


def test_at_least_fifteen_sabotages_are_in_the_scope_of_some_peer() -> None:
    """Each names whom it concerns."""
    assert len(ABOUT) >= 15
    assert all(ABOUT.values())


def test_the_page_shows_what_others_do_better() -> None:
    """Nothing that ours misses is hidden, nor what takes us longer."""

    def row(name: str, ours: str, theirs: str) -> dict[str, object]:
        cells = {
            "ours": {"outcome": ours, "seconds": 2.0, "evidence": ["a | b"], "commands": []},
            "theirs": {"outcome": theirs, "seconds": 1.0, "evidence": ["seen"], "commands": []},
        }
        return {"name": name, "control": "door", "title": "A door", "kind": "live", "cells": cells}

    tools = [
        {"name": name, "version": "1", "scope": "all", "notes": [], "commands": ["run"]} for name in ("ours", "theirs")
    ]
    rows = [
        row("unlock", "missed", "detected"),
        row("lift", "detected", "detected"),
        row("paint", "detected", "missed"),
    ]
    about = {"date": "2026-01-01", "kubernetes": "v1", "processors": 2, "tools": tools, "mutants": rows}
    text = page(about)
    assert "- theirs detects unlock, ours: missed" in text
    assert "- lift: theirs 1 s, ours 2 s" in text
    assert "paint: theirs" not in text
    assert "| paint | [door](../reference/controls/door.md) | **detected** 2 s | missed 1 s |" in text


def test_kube_hunter_is_read_without_addresses() -> None:
    """Another cluster has others; a service that it found is a finding too."""
    found = kube_hunter.read((CAPTURED / "kube-hunter.json").read_text(), "on a node")
    expected = {
        "service Etcd at port 2379",
        "service Kubelet API at port 10250",
        "service Unrecognized K8s API at port 6443",
    }
    assert {f"on a node: {each}" for each in expected} == found


def test_kimera_is_read_between_its_lines_of_progress() -> None:
    """Its findings, and what it says that it did not measure."""
    assessed, _ = kimera.read((CAPTURED / "kimera-assess.txt").read_text(), "batch")
    assert "batch: assess missing_seccomp of reporter/reporter" in assessed
    stolen, _ = kimera.read((CAPTURED / "kimera-technique.txt").read_text(), "a pod")
    assert {"a pod: technique C1 SA token theft from volume: success"} == stolen
    failed, unclear = kimera.read((CAPTURED / "kimera-validate.txt").read_text(), "batch")
    assert not failed
    assert [True] == ["network-policy active-connectivity-tests" in each for each in unclear]


def test_kdigger_is_read_bucket_by_bucket() -> None:
    """Facts, each of them a line; a pod that was refused is no admission."""
    found = kdigger.read((CAPTURED / "kdigger.jsonl").read_text(), "a pod")
    assert "a pod: mount / ro" in found
    assert "a pod: may create selfsubjectreviews.authentication.k8s.io" in found
    assert not [each for each in found if "admitted" in each or "capability" in each or "token" in each]


def test_kube_bench_is_read_check_by_check() -> None:
    """Failures and warnings, without those that only a person can decide, and without generated names."""
    found = kube_bench.read((CAPTURED / "kube-bench.json").read_text(), "control plane")
    numbers = {each.split()[2] for each in found}
    assert {"1.1.12", "1.2.1", "5.1.6"} == numbers
    assert any("namespace: batch pod_name: reporter service_account" in each for each in found)
    assert any("namespace: batch pod_name: k8ssec-twin service_account" in each for each in found)
    assert any("pod_name: kube-proxy service_account" in each for each in found)
    assert not any("pod_name: k8ssec-attacker service_account" in each for each in found)


@pytest.mark.parametrize("said", ["", "Segmentation fault", '{"unexpected": 1}', "{"])
def test_what_is_no_report_is_an_error(said: str) -> None:
    """A tool that broke has not found everything in order."""
    for read in (kube_hunter.read, kube_bench.read, kdigger.read):
        with pytest.raises(ProbeError, match="gave no report"):
            read(said, "somewhere")
