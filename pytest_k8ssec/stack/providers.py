"""Which providers a program may use: Kubernetes' own, and those that the settings allow by name, each with a reason.

Any other provider acts for real: it makes a bucket, runs a command, asks an account. The engine reports a provider as
soon as a resource or an invoke needs it, first in a preview; :mod:`pytest_k8ssec.stack.plugins` keeps it from being
started before that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pytest_k8ssec.errors import SettingsError, StackError
from pytest_k8ssec.stack.local_plugins import brought_along
from pytest_k8ssec.stack.messages import PROVIDER, PROVIDERS, Diagnostic
from pytest_k8ssec.stack.plugins import REFUSES

_OWN = PROVIDER.removeprefix(PROVIDERS)
BUILT_IN = "pulumi"
"""The engine's own: references to other stacks, of which a run's private backend holds none."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_OF_PROVIDER = re.compile(r"(::|\$)pulumi:providers:(?P<name>[^:$]+)::")
"""In the URN of a provider."""
_PLUGIN = re.compile(r"pulumi-resource-(?P<name>[A-Za-z0-9_.-]*[A-Za-z0-9_])")
"""In what Pulumi says of a plugin that it did not find, or that did not start."""
_FLAG = "--k8ssec-allow-provider"


class Providers:
    """Those that one stack may use, and those that it did use.

    Args:
        allowed: name to reason.
        tell: called with words about each when it is first used.
    """

    def __init__(self, allowed: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._allowed = allowed
        self._tell = tell
        self._used: dict[str, str] = {}
        self._astray = False

    def hear(self, said: Diagnostic) -> None:
        """Take note if Pulumi says that a download led nowhere."""
        self._astray = self._astray or REFUSES in said.message

    def look_at(self, type_: str, urn: str, operation: str) -> None:
        """Refuse a provider that nobody allowed.

        Args:
            type_: the resource's, ``pulumi:providers:aws``.
            operation: which one it appears in.

        Raises:
            StackError: it is refused.
        """
        name = type_.removeprefix(PROVIDERS)
        if name in (type_, _OWN, BUILT_IN) or name in self._used:
            return
        if name not in self._allowed:
            raise _refusal(name, urn, operation)
        self._used[name] = self._allowed[name]
        self._tell(f"stack: provider {name} is allowed: {self._allowed[name]}")

    def kept_out(self, errors: Iterable[Diagnostic], operation: str) -> StackError | None:
        """The refusal, if errors are about a provider that nobody allowed: it was kept from its plugin.

        Args:
            errors: what Pulumi calls errors; the result is None if none of them is about such a provider.
            operation: which one they came in.
        """
        for error in errors:
            found = _OF_PROVIDER.search(error.urn)
            if found is None:
                continue
            if found["name"] == _OWN:
                if self._astray:
                    return StackError(
                        f"provider {_OWN} ({error.urn}): names a download place of its own, and only Pulumi's is open",
                        fix=f"put pulumi-resource-{_OWN} on PATH, or name no place in a test",
                        details=error.message,
                    )
                continue
            if found["name"] not in self._allowed:
                return _refusal(found["name"], error.urn, operation)
            below = _PLUGIN.search(error.message)
            if below and below["name"] not in (_OWN, *self._allowed):
                return StackError(
                    f"provider {found['name']} ({error.urn}): is allowed, but needs {below['name']}, which is not",
                    fix=f"allow that too: {_FLAG} {below['name']}=REASON",
                    details=error.message,
                )
        return None

    def unused(self) -> list[str]:
        """Names of those that are allowed and that the stack did not use."""
        return [name for name in self._allowed if name not in self._used]

    def tell_unused(self) -> None:
        """Say which allowances did nothing."""
        for name in self.unused():
            self._tell(f"stack: provider {name} is allowed, and was not used: drop {_FLAG} {name}=...")

    def used(self) -> dict[str, str]:
        """Name to reason, of those that the stack used."""
        return dict(self._used)


def check_allowed(allowed: Mapping[str, str], project: Mapping[str, object], path: Path) -> None:
    """Look at what the settings allow, and at plugins that the project itself brings along.

    Args:
        project: what Pulumi.yaml says.
        path: the directory that it is in.

    Raises:
        SettingsError: a name is not that of a provider, or needs no allowance.
        StackError: the project names a plugin of its own that is not allowed.
    """
    for name in allowed:
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{_FLAG}: {name!r} is not the name of a provider", fix=f"name its package: {_FLAG} aws=REASON"
            )
        if name in (_OWN, BUILT_IN):
            raise SettingsError(
                f"{_FLAG} {name}=...: needs no allowance",
                fix="drop it; one that points to another cluster than that under test is always refused",
            )
    for name, where in brought_along(project, path):
        if name == _OWN:
            raise StackError(
                f"provider {_OWN} ({where} of {path}): is a plugin of the project's own, and nobody knows what it acts on",
                fix=f"leave it out of what is tested, or put pulumi-resource-{_OWN} on PATH",
            )
        if name not in allowed:
            raise _refusal(name, f"{where} of {path}", "preview")


def _refusal(name: str, where: str, operation: str) -> StackError:
    made = "nothing was created" if operation == "preview" else "nothing of it was created"
    return StackError(
        f"provider {name} ({where}): is not a Kubernetes provider, so it acts on something else than the cluster under test; {made}",
        fix=f"leave it out of what is tested, by a config value that the program asks for, or let it act for real: "
        f"{_FLAG} {name}=REASON",
    )
