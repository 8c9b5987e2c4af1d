"""What a peer is to the bench: how it is got, run and read. Nothing here knows one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bench.places import Place


@dataclass(frozen=True, slots=True)
class Report:
    """What a tool said of one cluster."""

    findings: frozenset[str] = frozenset()
    """One text a finding, without addresses and generated names: equal where the tool says the same of two clusters."""
    unclear: frozenset[str] = frozenset()
    """What it says that it could not tell, in the same form."""
    commands: tuple[str, ...] = ()
    """What was run, as one would type it."""
    seconds: float = 0.0

    @classmethod
    def together(cls, reports: Iterable[Report], seconds: float) -> Report:
        """What it said in several runs that took so long in all."""
        parts = list(reports)
        return cls(
            frozenset().union(*(part.findings for part in parts)),
            frozenset().union(*(part.unclear for part in parts)),
            tuple(dict.fromkeys(command for part in parts for command in part.commands)),
            seconds,
        )


@dataclass(frozen=True, slots=True)
class About:
    """A tool as the table introduces it."""

    name: str
    version: str
    scope: str
    """What it is for by its own words, and from where it is run here."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know to judge its results fairly."""


class Peer(Protocol):
    """Another tool."""

    @property
    def about(self) -> About:
        """Its name, version and scope; known without fetching it."""

    def fetch(self) -> None:
        """Have it on this machine. Raises ToolchainError."""

    def run(self, place: Place) -> Report:
        """Run it against one cluster of ours, at its best settings.

        Raises:
            K8ssecError: it could not be run.
        """
