"""Mistakes for examples/team-repo: each a line of its program, replaced; and which object is then to blame, declared where.

Pulumi knows of an object the line in which its constructor is called, and no more: nothing tells it in which line a value that is
handed over was written. So where the mistake is a value within a statement of several lines, the place is that
statement's first line, ``declared``. A namespace that lacks something is to blame itself, as what is not there has no line. And what a
chart makes is declared by the Release.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MAIN, SHOP, COMPONENT = "__main__.py", "shop.py", "component.py"
FILES = (MAIN, SHOP, COMPONENT)


@dataclass(frozen=True)
class Mistake:
    """One line of a file, replaced."""

    file: str
    before: str
    """What stands in the line, and in no other one."""
    after: str
    control: str
    """Which is breached by it."""
    culprit: str
    """The object to blame: ``Deployment shop/cart``."""
    field: str = ""
    """How the field that is to blame ends; "" where it is the object as a whole."""
    declared: str = ""
    """The nearest line above it that begins so is the object's statement; "" where that is the line itself."""
    elsewhere: str = ""
    """A line of the file that begins so, where the statement is another one altogether."""

    def line(self, text: str) -> int:
        """The number of the line that it replaces."""
        (found,) = [number for number, line in enumerate(text.splitlines(), 1) if self.before in line]
        return found

    def place(self, text: str) -> str:
        """``file:line`` that is to be told."""
        lines, here = text.splitlines(), self.line(text)
        if self.elsewhere:
            (here,) = [number for number, line in enumerate(lines, 1) if line.strip().startswith(self.elsewhere)]
        elif self.declared:
            here = max(n for n, line in enumerate(lines[:here], 1) if line.strip().startswith(self.declared))
        return f"infra/{self.file}:{here}"


def _container(before: str, after: str, control: str, field: str) -> Mistake:
    """Of what each service of the component is: it is asked of one."""
    return Mistake(COMPONENT, before, after, control, "Deployment shop/cart", field, declared="k8s.apps.v1.Deployment(")


MISTAKES = (
    Mistake(
        MAIN, 'labels_of("shop", level="restricted")', 'labels_of("shop", level="privileged")',
        "adm-psa", "Namespace shop", "enforce",
    ),
    Mistake(
        MAIN, 'labels_of("data", level="restricted")', 'labels_of("data", level="privileged")',
        "adm-psa", "Namespace data", "enforce",
    ),
    Mistake(
        MAIN, 'bounds("data", data_space)', "pass",
        "adm-limits", "Namespace data", elsewhere="data_space = k8s.core.v1.Namespace(",
    ),
    Mistake(
        MAIN, '"egress": [DNS]', '"egress": [{}]',
        "net-egress-deny", "NetworkPolicy data/dns", declared="k8s.networking.v1.NetworkPolicy(",
    ),
    Mistake(
        MAIN, '"kind": "ClusterRole", "name": "inspector"', '"kind": "ClusterRole", "name": "cluster-admin"',
        "rbac-cluster-admin", "ClusterRoleBinding inspector", declared="k8s.rbac.v1.ClusterRoleBinding(",
    ),
    Mistake(
        MAIN, '"nodes/metrics"', '"nodes/proxy"',
        "rbac-nodes-proxy", "ClusterRole node-metrics", declared="k8s.rbac.v1.ClusterRole(",
    ),
    Mistake(
        MAIN, '"empty_dir": {}', '"host_path": {"path": "/var/log"}',
        "wl-host-access", "Deployment data/mirror", "hostPath.path", elsewhere="k8s.apps.v1.Deployment(",
    ),
    Mistake(
        MAIN, '"hostIPC": False', '"hostIPC": True',
        "wl-host-access", "StatefulSet data/broker", "hostIPC", declared="k8s.helm.v3.Release(",
    ),
    Mistake(
        SHOP, 'rules=[_reads("configmaps")]', 'rules=[_reads("configmaps", "secrets")]',
        "rbac-secrets-read", "Role shop/ci-settings",
    ),
    Mistake(
        SHOP, 'rules=[_reads("pods")]', 'rules=[{**_reads("pods"), "verbs": ["get", "list", "create"]}]',
        "rbac-escalation", "Role shop/ci-pods",
    ),
    Mistake(
        SHOP, 'data={"currency": "EUR"}', 'data={"currency": "EUR", "key": bank_key}',
        "secrets-canary-leak", "ConfigMap shop/settings",
    ),
    Mistake(
        SHOP, '"privileged": False', '"privileged": True, "allow_privilege_escalation": True',
        "wl-privilege", "Deployment shop/search", "privileged", declared="k8s.apps.v1.Deployment(",
    ),
    Mistake(
        SHOP, '"host_pid": False', '"host_pid": True',
        "wl-host-access", "Deployment shop/thumbnails", "hostPID", declared="k8s.apps.v1.Deployment(",
    ),
    Mistake(
        COMPONENT, "automount_service_account_token=False", "automount_service_account_token=True",
        "id-token-automount", "ServiceAccount shop/cart", "automountServiceAccountToken",
        declared="account = k8s.core.v1.ServiceAccount(",
    ),
    Mistake(
        COMPONENT, '"ingress": _from(callers, public=public)', '"ingress": [{}]',
        "net-ingress-deny", "NetworkPolicy shop/cart", declared="k8s.networking.v1.NetworkPolicy(",
    ),
    Mistake(
        COMPONENT, '"type": "ClusterIP"', '"type": "NodePort"',
        "ext-ports", "Service shop/front", declared="k8s.core.v1.Service(",
    ),
    Mistake(
        COMPONENT, '"run_as_non_root": True, "run_as_user": USER', '"run_as_non_root": False, "run_as_user": 0',
        "wl-privilege", "Deployment shop/cart", "runAsUser", elsewhere="k8s.apps.v1.Deployment(",
    ),
    _container('"read_only_root_filesystem": True', '"read_only_root_filesystem": False', "wl-privilege", "readOnlyRootFilesystem"),
    _container('"allow_privilege_escalation": False', '"allow_privilege_escalation": True', "wl-privilege", "allowPrivilegeEscalation"),
    _container('"drop": ["ALL"]', '"drop": []', "wl-netraw", "capabilities.drop"),
    _container('"type": "RuntimeDefault"', '"type": "Unconfined"', "wl-seccomp", "seccompProfile.type"),
)  # fmt: skip


def plant(infra: Path, mistakes: tuple[Mistake, ...] = MISTAKES) -> None:
    """Make each of them in a copy of the program."""
    lines = {name: (infra / name).read_text(encoding="utf-8").splitlines() for name in FILES}
    for one in mistakes:
        at = one.line((infra / one.file).read_text(encoding="utf-8")) - 1
        lines[one.file][at] = lines[one.file][at].replace(one.before, one.after)
    for name, text in lines.items():
        (infra / name).write_text("\n".join(text) + "\n", encoding="utf-8")
