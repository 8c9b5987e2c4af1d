"""The insecure stack: what a failing run looks like, and that it names what is wrong."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.cluster.harness import PLATFORM, Place

ROOT = Path(__file__).parents[2]
BREACHED = {
    "adm-external-ips": "claim 203.0.113.7",
    "adm-limits": "namespace web",
    "adm-psa": "namespace web",
    "api-anon-data": "/api/v1/pods",
    "api-anon-minimal": "/version",
    "aud-events": "read a Secret",
    "blast-radius": "Deployment batch/reporter",
    "etcd-exposed": "connect to port 2379",
    "ext-ports": "Service web/storefront",
    "ext-unauth-ui": "Service web/storefront",
    "id-bootstrap-token": "kind's public bootstrap token",
    "id-credentials": "bootstrap token in Secret kube-system/",
    "id-token-automount": "system:serviceaccount:web:default",
    "id-token-lifetime": "valid for 31536",
    "kubelet-server-cert": "does not verify",
    "net-controlplane": "StatefulSet payments/ledger",
    "net-egress-deny": "Deployment web/storefront",
    "net-ingress-deny": "payments/ledger-0",
    "net-metadata": "Deployment web/storefront",
    "node-seccomp": "Seccomp: 0",
    "rbac-cluster-admin": "service account batch/reporter",
    "rbac-escalation": "service account batch/reporter",
    "rbac-nodes-proxy": "service account batch/reporter",
    "rbac-secrets-read": "service account batch/reporter",
    "secrets-at-rest": "canary Secret",
    "secrets-canary-leak": "Deployment payments/api",
    "sup-pull-auth": "run it without a pull",
    "sup-registry": "registry.invalid",
    "wl-netraw": "open a raw socket",
    "wl-privilege": "be root",
    "wl-seccomp": "run without a seccomp filter",
}
"""Control to what its evidence must name."""
_PROGRAM = ROOT / "stacks" / "insecure" / "__main__.py"
BUILT = f"{_PROGRAM}:{_PROGRAM.read_text().splitlines().index('build(') + 1}"
"""The line of the program by which all of it is declared: what it calls stands outside of its project."""
COLUMNS, LINES = 100, 150
"""Of the terminal; how many lines the whole run may print there."""
UNABLE_TO_TELL = ["aud-no-secret-body"]
"""Nothing is audited there, so there is no log to search."""


def test_insecure_stack_breaches_what_it_is_made_to(place: Place) -> None:
    """Its mistakes are breaches, with evidence that names the object; the others are inconclusive only where they must."""
    place.thaws = True
    key = secrets.token_hex(16)
    done = place.pytest(
        "--pyargs",
        "pytest_k8ssec.controls",
        f"--k8ssec-stack={ROOT / 'stacks' / 'insecure'}",
        *PLATFORM,
        "--k8ssec-report=report",
        environ={"BANK_KEY": key, "COLUMNS": str(COLUMNS)},
    )
    assert pytest.ExitCode.TESTS_FAILED == done.end(600), done.output
    text = (place.project / "report" / "report.json").read_text()
    results = {result["control"]: result for result in json.loads(text)["results"]}
    assert set(BREACHED) == {name for name, result in results.items() if result["verdict"] == "breached"}, done.output
    assert UNABLE_TO_TELL == [name for name, result in results.items() if result["verdict"] == "inconclusive"], (
        done.output
    )
    for name, words in BREACHED.items():
        assert words in results[name]["reason"]
    for name in (each for each in BREACHED if each.startswith("rbac-")):
        blamed = {
            (one["kind"], one["name"], one["place"]) for each in results[name]["blamed"] for one in each["culprits"]
        }
        assert blamed == {("ClusterRoleBinding", "reporter-admin", BUILT)}
    _fits_on_a_screen(done.output.replace(str(place.root), "~"))
    assert key not in text
    assert key not in done.output
    assert "BEGIN" not in text


def _fits_on_a_screen(output: str) -> None:
    """Each breach once, below one line for each verdict; nothing too wide, and not much of it.

    Paths are broken by nobody, so the test's own folder, which has a longer name with each run, is a ``~`` there.
    """
    lines = output.splitlines()
    assert len(lines) <= LINES, output
    assert not [line for line in lines if len(line) > COLUMNS]
    words = [line.split()[:2] for line in lines]
    for name in BREACHED:
        assert 1 == words.count([name, "BREACHED"]), name
        assert 2 == sum(each[:1] == [name] for each in words), name
    assert len(BREACHED) == output.count("fix: ")
