"""Which sabotages the peers are tried on, and which of a peer's findings would be about that very weakness.

A peer that is not named at a mutant has nothing about it, by its own documentation or source: it is out of scope there,
and is not counted as having missed it. The texts are those of the peers' readers; each is a regular expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_k8ssec.catalogue.control import Control, Sabotage
from pytest_k8ssec.catalogue.packaged import packaged_controls

HUNTER, KIMERA, KDIGGER, BENCH = "kube-hunter", "kimera", "kdigger", "kube-bench"

_LIST = r"KHV00[57]"
_KUBELET_DATA = r"KHV0(3[789]|4[0-6]|52)"
_ALL_RIGHTS = r": may \* \*\.\*"

ABOUT: Mapping[str, Mapping[str, str]] = {
    # -- etcd and what is in it
    "no-client-certificates": {HUNTER: r"KHV03[1-4]", BENCH: r": 2\.2 "},
    "plain-metrics": {HUNTER: r"KHV03[34]", BENCH: r": 2\.1 "},
    "no-peer-certificates": {BENCH: r": 2\.5 "},
    "one-authority": {BENCH: r": 2\.7 "},
    "etcd-on-all-addresses": {HUNTER: r"(outside|a pod of its own): (service Etcd|KHV03)"},
    "no-encryption": {BENCH: r": 1\.2\.2[78] "},
    "key-in-config-map": {KIMERA: r"technique C3 "},
    # -- the API server
    "anonymous-view": {HUNTER: _LIST, BENCH: r": 1\.2\.1 "},
    "anonymous-everywhere": {HUNTER: r"KHV00[25]", BENCH: r": 1\.2\.1 "},
    "everybody-is-admin": {
        HUNTER: rf"{_LIST}|Created",
        KIMERA: r"validate rbac .*(cluster-admin|wildcard)",
        KDIGGER: _ALL_RIGHTS,
        BENCH: r": 5\.1\.[124] ",
    },
    "tls-1-0": {BENCH: r": (1\.2\.29|4\.2\.12) "},
    "rsa-key-exchange": {BENCH: r": 1\.2\.29 "},
    "no-token-lookup": {BENCH: r": 1\.2\.21 "},
    "no-audit-log": {BENCH: r": (1\.2\.16|3\.2\.1) "},
    "policy-of-nothing": {BENCH: r": (1\.2\.16|3\.2\.1) "},
    "external-ips-admitted": {BENCH: r": 1\.2\.3 "},
    "no-node-restriction": {BENCH: r": 1\.2\.14 "},
    # -- nodes and kubelets
    "anonymous-kubelet": {HUNTER: rf"KHV036|{_KUBELET_DATA}", BENCH: r": 4\.2\.1 "},
    "kubelet-allows-always": {HUNTER: _KUBELET_DATA, BENCH: r": 4\.2\.2 "},
    "read-only-port": {HUNTER: r"readonly|at port 10255", BENCH: r": 4\.2\.4 "},
    "self-signed-kubelet": {BENCH: r": 4\.2\.(9|11) "},
    "unconfined-by-default": {KDIGGER: r"no seccomp filter"},
    "open-controller-manager": {BENCH: r": 1\.3\.7 "},
    "open-proxy-metrics": {BENCH: r": 4\.3\.1 "},
    "everybody-reads-admin": {BENCH: r": 1\.1\.13 "},
    # -- identities and rights
    "default-account-automounts": {
        HUNTER: r"a pod in .*(KHV050|Access to pod's secrets)",
        KIMERA: r"technique C1 |sa_token_automounted",
        KDIGGER: r"token: mounted",
        BENCH: r": 5\.1\.[56] ",
    },
    "default-account-is-admin": {
        HUNTER: rf"{_LIST}|Created",
        KIMERA: r"validate rbac ",
        KDIGGER: _ALL_RIGHTS,
        BENCH: r": 5\.1\.[135] ",
    },
    "default-account-reads-secrets": {
        KIMERA: r"validate rbac .*[Ss]ecrets",
        KDIGGER: r": may .*secrets",
        BENCH: r": 5\.1\.2 ",
    },
    "default-account-reaches-kubelets": {HUNTER: _KUBELET_DATA, KDIGGER: r": may .*nodes/proxy"},
    "may-escalate-in-its-namespace": {
        KIMERA: r"validate rbac ",
        KDIGGER: r": may .*(bind|escalate|pods|token)",
        BENCH: r": 5\.1\.4 ",
    },
    "may-escalate-in-the-cluster": {KIMERA: r"validate rbac ", KDIGGER: r": may .*(impersonate|approve|webhook)"},
    # -- workloads
    "privileged-container": {
        KIMERA: r"privileged_mode|technique E[12] ",
        KDIGGER: r"capability cap_sys_admin|device ",
        BENCH: r": 5\.2\.2 ",
    },
    "runs-as-root": {KIMERA: r"run_as_root|missing_run_as_non_root", KDIGGER: r": user 0"},
    "writable-root": {KIMERA: r"writable_root_filesystem", KDIGGER: r"mount / rw"},
    "net-raw-added": {
        HUNTER: r"CAP_NET_RAW",
        KIMERA: r"dangerous_capabilities",
        KDIGGER: r"capability cap_net_raw",
        BENCH: r": 5\.2\.9 ",
    },
    "host-path-mounted": {KDIGGER: r": mount /node"},
    "host-processes-shared": {
        KIMERA: r"host_pid|technique E3 ",
        KDIGGER: r"the kubelet is seen|systemd is the first",
        BENCH: r": 5\.2\.3 ",
    },
    # -- admission and network
    "enforce-label-removed": {
        KIMERA: r"validate admission (?!no-resource-limits)",
        KDIGGER: r": admitted ",
        BENCH: r": 5\.2\.[2-9] ",
    },
    "limits-removed": {KIMERA: r"validate admission no-resource-limits"},
    "ingress-allowed-to-all": {KIMERA: r"validate network-policy "},
    "egress-allowed-to-all": {KIMERA: r"validate network-policy "},
    "egress-allowed-to-nodes": {KIMERA: r"validate network-policy "},
    "policy-engine-stopped": {KIMERA: r"validate network-policy "},
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One sabotage, the control that it is made for, and what the peers could say of it."""

    sabotage: Sabotage
    control: Control
    about: Mapping[str, str]

    @property
    def name(self) -> str:
        """The sabotage's."""
        return self.sabotage.name


def mutants(names: frozenset[str] = frozenset()) -> tuple[list[Mutant], list[str]]:
    """Those of the catalogue, or of these names; and the names that no control declares (any more, or yet)."""
    wanted = names or frozenset(ABOUT)
    found = [
        Mutant(sabotage, control, ABOUT[sabotage.name])
        for control in packaged_controls()
        for sabotage in control.sabotages
        if sabotage.name in wanted and sabotage.name in ABOUT
    ]
    return found, sorted(wanted - {mutant.name for mutant in found})
