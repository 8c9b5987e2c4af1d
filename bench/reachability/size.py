"""How large a measurement is: how many pods, what each serves, and what all are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["TCP", "UDP"]


@dataclass(frozen=True, slots=True)
class Size:
    """How many pods, and what each of them serves."""

    namespaces: int
    pods: int
    """In each namespace."""
    protocols: tuple[Protocol, ...] = ("TCP", "UDP")
    ports: tuple[int, ...] = (80, 81)

    @property
    def count(self) -> int:
        """Pods in all."""
        return self.namespaces * self.pods

    @property
    def namespace_names(self) -> list[str]:
        """``n00`` and so on, so that they sort as they count."""
        return [f"n{number:02}" for number in range(self.namespaces)]

    @property
    def pod_names(self) -> list[str]:
        """``p00`` and so on, the same in each namespace."""
        return [f"p{number:02}" for number in range(self.pods)]

    @property
    def keys(self) -> list[str]:
        """``namespace/pod`` of each, in cyclonus' order."""
        return [f"{namespace}/{pod}" for namespace in self.namespace_names for pod in self.pod_names]
