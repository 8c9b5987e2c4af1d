"""The families that controls come in, and the framework references that each family's controls share."""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """One family; its id is the first part of its controls' ids and the name of a pytest marker."""

    id: str
    title: str
    mitre: tuple[str, ...]
    nsa: tuple[str, ...]
    owasp: tuple[str, ...]


FAMILIES: dict[str, Family] = {
    family.id: family
    for family in (
        Family("etcd", "etcd", ("T1552",), ("N2",), ("K09:2022", "K07:2025")),
        Family("secrets", "Secrets", ("T1552",), ("N2",), ("K08:2022", "K03:2025")),
        Family("api", "API server", ("T1613",), ("N3",), ("K06:2022", "K09:2025")),
        Family("kubelet", "kubelet", ("T1609", "T1613"), ("N2",), ("K09:2022", "K07:2025")),
        Family("node", "Nodes", ("T1552.001",), ("N2",), ("K09:2022", "K07:2025")),
        Family("id", "Identities and tokens", ("T1528",), ("N1", "N3"), ("K06:2022", "K09:2025")),
        Family("rbac", "RBAC", ("T1078", "T1098.006"), ("N3",), ("K03:2022", "K02:2025")),
        Family("wl", "Workloads", ("T1611",), ("N1",), ("K01:2022", "K01:2025")),
        Family("net", "Network", ("T1046", "T1210"), ("N2",), ("K07:2022", "K05:2025")),
        Family("adm", "Admission", ("T1610",), ("N1",), ("K04:2022", "K04:2025")),
        Family("sup", "Supply chain", ("T1525",), ("N1", "N5"), ("K02:2022",)),
        Family("aud", "Audit", ("T1685",), ("N4",), ("K05:2022", "K10:2025")),
        Family("ext", "Exposure to the outside", ("T1133",), ("N2",), ("K09:2022", "K06:2025")),
        Family("blast", "Blast radius", ("T1611", "T1078"), ("N1", "N2", "N3"), ("K03:2022", "K02:2025")),
    )
}
"""By id. Sources: docs/reference/controls/README.md; ATT&CK v19 replaced T1562 (Impair Defenses) by T1685."""
