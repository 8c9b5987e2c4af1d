"""Reads the YAML file in which people declare who may talk to whom; an error names the line that is wrong.

::

    version: 1
    allow:
      - from: web/storefront
        to: payments/api
        ports: [8080/TCP]
        reason: customers pay
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.errors.yaml_text import NotYaml, compose_yaml
from pytest_k8ssec.facts.listening_ports import Port
from pytest_k8ssec.reach.names import matches, unknown

if TYPE_CHECKING:
    from pytest_k8ssec.reach.cell import Cell
    from pytest_k8ssec.reach.places import Destination, Places

VERSION = 1
_KEYS = ("from", "to", "ports", "reason")
_PORT = re.compile(r"(\d{1,5})(?:/(TCP|UDP|SCTP))?")
_FORM = (
    "write `version: 1` and `allow:`, a list of rules with `from`, `to`, `reason` and, where not all are meant, `ports`"
)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: connections that may be made."""

    line: int
    source: str
    target: str
    ports: tuple[Port, ...]
    """The listener's own ports, with their protocols; empty means every port that it listens on."""
    reason: str

    def covers(self, cell: Cell) -> bool:
        """Whether the rule is about a cell."""
        return (
            matches(self.source, cell.origin.name)
            and matches(self.target, cell.destination.name)
            and (not self.ports or _port(cell.destination) in self.ports)
        )

    def untried(self, places: Places) -> str:
        """The part of the rule that there is no cell for, in words; "" if there is one for each."""
        tried = {
            _port(places.destinations[number])
            for origin in places.origins
            if matches(self.source, origin.name)
            for number in places.concerns(origin)
            if matches(self.target, places.destinations[number].name)
        }
        if not self.ports:
            return "" if tried else "at any port"
        return ", ".join(
            f"at {number}/{protocol}" for number, protocol in self.ports if (number, protocol) not in tried
        )


def _port(destination: Destination) -> Port:
    return destination.port, destination.dial.protocol


@dataclass(frozen=True, slots=True)
class Intent:
    """All connections that are allowed; no other one is."""

    source: str
    """The file, for messages."""
    rules: tuple[Rule, ...]

    def declares(self, cell: Cell) -> Rule | None:
        """The first rule that is about a cell."""
        return next((rule for rule in self.rules if rule.covers(cell)), None)

    def check(self, places: Places) -> None:
        """Raises SettingsError, with the line, if a rule names what does not exist, or what is not tried from there.

        Such a rule would allow nothing, and count as fulfilled.
        """
        origins = list(dict.fromkeys(origin.name for origin in places.origins))
        targets = list(dict.fromkeys(each.name for each in places.destinations))
        for rule in self.rules:
            where = f"{self.source}, line {rule.line}: "
            for pattern, names, what in ((rule.source, origins, "from"), (rule.target, targets, "to")):
                if not any(matches(pattern, name) for name in names):
                    raise unknown(pattern, names, what, where)
            listens = {
                (each.port, each.dial.protocol) for each in places.destinations if matches(rule.target, each.name)
            }
            for number, protocol in rule.ports:
                if (number, protocol) not in listens:
                    there = ", ".join(f"{one}/{kind}" for one, kind in sorted(listens))
                    raise SettingsError(
                        f"{where}{rule.target} does not listen on {number}/{protocol}", fix=f"it listens on {there}"
                    )
            if words := rule.untried(places):
                raise SettingsError(
                    f"{where}from {rule.source} to {rule.target} nothing is tried {words}",
                    fix="take the rule out; from outside only nodes and the ports that lead through them are tried",
                )


def load(path: Path) -> Intent:
    """Read an intent file.

    Raises:
        SettingsError: it can't be read, or something in it is wrong; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"intent {path}: can't be read: {getattr(error, 'strerror', None) or error}") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Intent:
    """Read an intent from text. Raises SettingsError."""
    try:
        root = compose_yaml(text)
    except NotYaml as error:
        line = f", line {error.line}" if error.line else ""
        raise SettingsError(f"{source}{line}: is not valid YAML: {error.why}", fix="correct the file") from None
    reader = _Reader(source)
    if root is None:
        raise SettingsError(f"{source}: is empty", fix=f"begin with `version: {VERSION}` and `allow:`")
    top = reader.mapping(root, ("version", "allow"), "the file")
    version = top.get("version")
    if version is None or reader.text(version, "version") != str(VERSION):
        raise reader.wrong(version or root, f"version must be {VERSION}")
    if "allow" not in top:
        raise reader.wrong(root, "`allow` is missing: a list, which may be empty")
    return Intent(source, tuple(reader.rule(node) for node in reader.sequence(top["allow"], "allow")))


@dataclass(frozen=True, slots=True)
class _Reader:
    """YAML nodes, each with its place, to what they mean."""

    source: str

    def rule(self, node: yaml.Node) -> Rule:
        found = self.mapping(node, _KEYS, "a rule")
        for key in ("from", "to", "reason"):
            if key not in found:
                raise self.wrong(node, f"a rule needs `{key}`")
        reason = self.text(found["reason"], "reason").strip()
        if not reason:
            raise self.wrong(found["reason"], "reason is empty: say why, for whoever reads it next")
        ports = tuple(self.port(each) for each in self.sequence(found["ports"], "ports")) if "ports" in found else ()
        if "ports" in found and not ports:
            raise self.wrong(found["ports"], "ports is empty: leave it out for every port that is listened on")
        source, target = self.text(found["from"], "from"), self.text(found["to"], "to")
        return Rule(node.start_mark.line + 1, source, target, ports, reason)

    def port(self, node: yaml.Node) -> Port:
        text = self.text(node, "a port")
        match = _PORT.fullmatch(text)
        if not match or not 0 < int(match[1]) <= _MAX_PORT:
            raise self.wrong(node, f"{text!r} is not a port: such as 8080/TCP")
        return int(match[1]), match[2] or "TCP"

    def mapping(self, node: yaml.Node, allowed: Sequence[str], what: str) -> Mapping[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} must be a mapping of {', '.join(allowed)}")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.text(key, "a key")
            if name not in allowed:
                close = difflib.get_close_matches(name, allowed, n=1)
                hint = f"did you mean `{close[0]}`?" if close else f"{what} has {', '.join(allowed)}"
                raise self.wrong(key, f"{what} has no key `{name}`", hint)
            if name in found:
                raise self.wrong(key, f"{what} has `{name}` twice")
            found[name] = value
        return found

    def sequence(self, node: yaml.Node, what: str) -> Iterator[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, f"{what} must be a list")
        yield from node.value

    def text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, f"{what} must be plain text")
        return str(node.value)

    def wrong(self, node: yaml.Node, why: str, fix: str = "") -> SettingsError:
        return SettingsError(f"{self.source}, line {node.start_mark.line + 1}: {why}", fix=fix or _FORM)
