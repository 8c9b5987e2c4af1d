"""docs/explanation/default-kind.md: what a kind cluster does where nobody says otherwise, reasoned beforehand and then measured.

python -m docs.default_kind BARE SHOP    write the page from two reports: without a stack, and with stacks/plain

`make default-kind` makes both reports.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_k8ssec.catalogue.packaged import packaged_controls

PAGE = Path(__file__).parent / "explanation" / "default-kind.md"

_HELD = (
    "api-anon-data", "api-authz", "api-tls", "etcd-ca-isolation", "etcd-client-auth", "etcd-peer-auth", "etcd-plaintext",
    "id-credentials", "id-token-revocation", "kubelet-anon", "kubelet-authz", "kubelet-readonly", "net-cni-enforces", "node-cred-files",
    "node-loopback", "node-restriction", "rbac-cluster-admin", "rbac-escalation", "rbac-nodes-proxy",
    "rbac-secrets-read", "wl-host-access",
)  # fmt: skip
_BREACHED = (
    "adm-external-ips", "adm-limits", "adm-psa", "api-anon-minimal", "aud-events", "blast-radius", "etcd-exposed",
    "ext-ports", "id-bootstrap-token", "id-token-automount", "id-token-lifetime", "kubelet-server-cert", "net-controlplane",
    "net-egress-deny", "net-ingress-deny", "node-seccomp", "secrets-at-rest", "sup-pull-auth", "sup-registry",
    "wl-netraw", "wl-privilege", "wl-seccomp",
)  # fmt: skip
REASONED: Mapping[str, str] = {**dict.fromkeys(_HELD, "held"), **dict.fromkeys(_BREACHED, "breached")}
"""What was expected of each control before the first measurement, from what Kubernetes and kubeadm are documented to do."""

WHY: Mapping[str, str] = {
    "aud-no-secret-body": "nothing is audited, so there is no log to search: it can't hold, and is no breach either",
    "ext-unauth-ui": "nothing of the cluster is shown to the outside but the API server, which asks for credentials",
    "net-metadata": "nothing stops a pod; a listener of ours stands in for the service, which kind's nodes do not have",
    "secrets-canary-leak": "the stack was given no secret to look for",
}
"""Of the controls that nothing was expected of, or that did something else: why they say what they say."""

NO_STACK = "no stack"
"""What is shown where a control that judges a stack had none."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m docs.default_kind", description="docs/explanation/default-kind.md from reports."
    )
    parser.add_argument("bare", type=Path, help="report.json of a run without a stack")
    parser.add_argument("shop", type=Path, help="report.json of a run with stacks/plain")
    given = parser.parse_args(argv)
    bare, shop = (json.loads(file.read_text(encoding="utf-8")) for file in (given.bare, given.shop))
    PAGE.write_text("\n".join(page(bare, shop)) + "\n", encoding="utf-8")
    return 0


def page(bare: Mapping[str, Any], shop: Mapping[str, Any]) -> Iterator[str]:
    """The page, line by line.

    Raises:
        ValueError: a control is in one of the reports and not in the other, or in none, or the cluster was another one.
    """
    before, after = _verdicts(bare), _verdicts(shop)
    known = {control.id: control for control in packaged_controls()}
    for verdicts in (before, after):
        if set(verdicts) != set(known):
            raise ValueError(f"report: these controls are missing or too many: {sorted(set(verdicts) ^ set(known))}")
    if bare["run"]["stack"] or shop["run"]["stack"]["project"] != "plain":
        raise ValueError("report: the first must be of a run without a stack, the second of one with stacks/plain")
    if len({run["run"]["versions"]["kubernetes-server"] for run in (bare, shop)}) > 1:
        raise ValueError("report: the two runs had different versions of Kubernetes")
    yield from _head(bare["run"], shop["run"], after)
    for ident, control in known.items():
        first = NO_STACK if control.subject == "stack" and before[ident] == "inconclusive" else before[ident]
        expected = REASONED.get(ident, "")
        why = WHY.get(ident, "") or ("" if expected == after[ident] else "differs from what was reasoned")
        yield f"| [{ident}](../reference/controls/{ident}.md) | {expected} | {first} | {_strong(after[ident])} | {why} |"
    yield ""
    yield "Made by `make default-kind` from two reports; what was reasoned, and the remarks, are in docs/default_kind.py."


def _verdicts(report: Mapping[str, Any]) -> dict[str, str]:
    return {entry["control"]: entry["verdict"] for entry in report["results"]}


def _head(bare: Mapping[str, Any], shop: Mapping[str, Any], after: Mapping[str, str]) -> Iterator[str]:
    versions = shop["versions"]
    counts = ", ".join(
        f"{list(after.values()).count(verdict)} {verdict}"
        for verdict in ("held", "breached", "inconclusive", "not-applicable")
    )
    reasoned = [(verdict, REASONED[ident]) for ident, verdict in after.items() if ident in REASONED]
    agreed = sum(verdict == expected for verdict, expected in reasoned)
    yield from (
        "# What a default kind cluster does",
        "",
        "A control plane and a worker as kind makes them, with a kind configuration that says nothing else",
        "([stacks/plain/kind.yaml](../../stacks/plain/kind.yaml)), measured twice: without a stack, and with",
        "[stacks/plain](../../stacks/plain), a namespace, a Deployment and a Service that say nothing about security. There is",
        "no mistake in any of it: what is breached here is breached by default.",
        "",
        f"With the stack: {counts}. Of {len(reasoned)} controls whose",
        f"verdict was reasoned from documentation before it was measured, {agreed} did what was expected.",
        "",
        "| | |",
        "|---|---|",
        f"| measured | {bare['started'][:10]}, and {shop['started'][:10]} with the stack |",
        f"| Kubernetes | {versions['kubernetes-server']}, nodes of kind |",
        f"| pytest-k8ssec | {versions['pytest-k8ssec']} |",
        f"| host | {shop['host']['system']} {shop['host']['release'].partition('-')[0]}, {shop['host']['machine']} |",
        f"| seconds | {bare['seconds']:.0f}, and {shop['seconds']:.0f} with the stack, clusters included |",
        "",
        "| control | reasoned | without a stack | with stacks/plain | |",
        "|---|---|---|---|---|",
    )


def _strong(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "breached" else verdict


if __name__ == "__main__":
    sys.exit(main())
