"""The measured connections, and the questions that may be asked of them; who reached which listener when, as proof."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.reach.by_class import Classes, Extent
from pytest_k8ssec.reach.cell import Cell
from pytest_k8ssec.reach.finding import Finding, judge_cells
from pytest_k8ssec.reach.intent import Intent, load
from pytest_k8ssec.reach.measure import Dial, Row
from pytest_k8ssec.reach.names import matching
from pytest_k8ssec.reach.places import Destination, Origin, Places
from pytest_k8ssec.reach.propagation import Propagation
from pytest_k8ssec.reach.routes import SILENT, Route, addresses, taken

_NO_LINK = "nothing shows that the source's own network works"


@dataclass(frozen=True, slots=True)
class Cells:
    """Some of the cells, and the questions that may be asked of them."""

    words: str
    chosen: tuple[Cell, ...]

    def is_blocked(self) -> Finding:
        """Whether each of them is blocked, and known to be."""
        return judge_cells(f"{self.words} is blocked", self.chosen, lambda cell: cell.verdict == "blocked")

    def is_open(self) -> Finding:
        """Whether each of them is open."""
        return judge_cells(f"{self.words} is open", self.chosen, lambda cell: cell.verdict == "open")

    def only_from(self, *sources: str) -> Finding:
        """Whether each of these sources gets through, and no other source.

        A node that reaches the pods it runs counts for neither: no policy can forbid it.
        """
        known = {cell.origin.name for cell in self.chosen}
        named = {name: frozenset(matching(name, known, "source")) for name in sources}
        let_in = frozenset().union(*named.values())
        asked = [cell for cell in self.chosen if not cell.exempt or cell.origin.name in let_in]
        return judge_cells(
            f"{self.words} is open to {' and '.join(sources) or 'nobody'} only",
            asked,
            lambda cell: cell.verdict == ("open" if cell.origin.name in let_in else "blocked"),
        )

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)

    def __repr__(self) -> str:
        untried = sum(not cell.measured for cell in self.chosen)
        tried = f"{len(self.chosen) - untried} connections tried"
        return f"<{self.words}: {tried}{f', {untried} not' if untried else ''}>"


@dataclass(frozen=True)
class Reachability:
    """Every source, every destination, and what came of it."""

    places: Places
    rows: tuple[Row, ...]
    """One for each origin: its answers, one for each destination that it tried."""
    links: tuple[str, ...]
    """One for each origin: who shows that its network works, "" for nobody."""
    witnesses: Witnesses
    seconds: float
    execs: int
    notes: tuple[str, ...] = ()
    propagation: Propagation | None = None
    """How long policies take here, if that was measured too."""
    unshown: frozenset[Route] = frozenset()
    """Routes between nodes on which nothing was seen to get through."""

    def cells(self) -> Iterator[Cell]:
        """All cells, made when they are asked for; also those that were not measured, where many pods are sampled."""
        for number, origin in enumerate(self.places.origins):
            yield from self._row(number, origin)

    def _row(self, number: int, origin: Origin) -> Iterator[Cell]:
        measured = {at: cell for _, at, cell in self._measured(number, origin)}
        if self.places.seed is None:
            yield from measured.values()
            return
        classes, expected = self._classes, self.places.expected(number)
        for at in self.places.concerns(origin):
            if at not in measured:
                told = classes.of(number, at, expected=expected[at], listeners=self._listeners)
                yield replace(told, decider=partial(self.places.decided_by, number, at))
            elif other := classes.unlike.get((number, at)):
                yield replace(measured[at], unlike=other)
            else:
                yield measured[at]

    def _measured(self, number: int, origin: Origin) -> Iterator[tuple[int, int, Cell]]:
        """The cells of an origin that were measured, with the indices of the origin and of the destination."""
        row, expected = self.rows[number], self.places.expected(number) if origin.measured else ()
        for position, at in enumerate(self.places.asked(origin)):
            destination = self.places.destinations[at]
            latency, outcome = row.latencies[position], row.outcome(position)
            cell = Cell(
                origin,
                destination,
                outcome,
                row.broken or row.details.get(position, ""),
                None if math.isnan(latency) else round(latency, 3),
                row.at,
                "" if outcome is Outcome.OPEN else self.witnesses.of(destination, row),
                self._doubt(origin, destination, outcome) if self.links[number] else _NO_LINK,
                expected[at],
                unserved=self.places.unserved(origin, destination),
                only_its_node=self._only_its_node(destination),
                decider=partial(self.places.decided_by, number, at),
            )
            yield number, at, cell

    def _only_its_node(self, destination: Destination) -> bool:
        who = {name for *_, name in self.witnesses.seen.get(destination.dial, ())}
        return destination.way == "node" and not destination.node and who == {destination.name}

    @cached_property
    def _classes(self) -> Classes:
        origins = enumerate(self.places.origins)
        return Classes(self.places, (each for number, origin in origins for each in self._measured(number, origin)))

    @cached_property
    def _listeners(self) -> frozenset[Dial]:
        return frozenset(self.witnesses.seen) - self.witnesses.gone

    @cached_property
    def extent(self) -> Extent:
        """How much of it was measured, and how much has the answer of its class."""
        told = Counter("measured" if cell.measured else "by class" if cell.by_class else "" for cell in self.cells())
        sources = Counter(each.measured for each in self.places.origins if each.kin is not None)
        targets = Counter(each.measured for each in self.places.destinations if each.kin is not None)
        unlike = self._classes.unlike if self.places.seed is not None else {}
        return Extent(
            self.places.seed,
            len({each.kin for each in self.places.origins} - {None}),
            sources[True],
            sources[False],
            len({each.kin for each in self.places.destinations} - {None}),
            targets[True],
            targets[False],
            told["measured"],
            told["by class"],
            told[""],
            tuple(str(cell) for cell in self.cells() if cell.unlike) if unlike else (),
        )

    def _doubt(self, origin: Origin, destination: Destination, outcome: Outcome) -> str:
        """Why silence need not be a wall: nothing else gets from the one node to the other either."""
        if outcome not in SILENT:
            return ""
        lost = sorted(taken(origin, destination, self._nodes) & self.unshown)
        return f"nothing shows that packets get {' and '.join(map(str, lost))}" if lost else ""

    @cached_property
    def _nodes(self) -> dict[str, str]:
        return addresses(self.places)

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """Names of all sources."""
        return tuple(dict.fromkeys(origin.name for origin in self.places.origins))

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Names of all that can be reached."""
        return tuple(dict.fromkeys(each.name for each in self.places.destinations))

    def between(self, source: str, target: str, port: int | None = None, protocol: str = "") -> Cells:
        """The cells from one source to one target.

        Args:
            source: ``web/storefront``, ``web`` or ``web/*`` (all of it), ``elsewhere``, ``node``, ``outside``, ``*``.
            target: likewise.
            port: the listener's own; None means all.

        Raises:
            SettingsError: nothing has that name, or nothing listens there: an answer about nothing would always be
                true.
        """
        sources = matching(source, self.origins, "source")
        targets = matching(target, self.subjects, "target")
        words = f"{source} to {target}" + (f":{port}" if port else "") + (f"/{protocol}" if protocol else "")
        chosen = tuple(
            cell
            for number, origin in enumerate(self.places.origins)
            if origin.name in sources
            for cell in self._row(number, origin)
            if cell.destination.name in targets
            and port in (None, cell.destination.port)
            and protocol in ("", cell.destination.dial.protocol)
        )
        if not chosen:
            ports = sorted({each.subject for each in self.places.destinations if each.name in targets})
            raise SettingsError(
                f"{words}: nothing was measured", fix=f"what listens there: {', '.join(ports) or 'nothing'}"
            )
        return Cells(words, chosen)

    def to(self, target: str, port: int | None = None, protocol: str = "") -> Cells:
        """The cells from every source to one target. Raises SettingsError as :meth:`between` does."""
        return self.between("*", target, port, protocol)

    def nothing_else_than(self, intent: Intent | Path | str) -> Finding:
        """Whether exactly the connections are open that an intent, or its file, declares.

        A port of a node that nobody but that node reaches is no matter of an intent, whatever it says of the node's ports.

        Raises:
            SettingsError: the file is wrong, or it names something that does not exist.
        """
        if not isinstance(intent, Intent):
            intent = load(Path(intent))
        intent.check(self.places)
        return judge_cells(
            f"nothing else than {intent.source} is open",
            [cell for cell in self.cells() if not cell.kept and (not cell.exempt or intent.declares(cell) is not None)],
            lambda cell: cell.verdict == ("open" if intent.declares(cell) is not None else "blocked"),
        )

    def as_policies_say(self) -> Finding:
        """Whether each connection is as the NetworkPolicies should have it, wherever they decide it."""
        return judge_cells(
            "reachability is as the NetworkPolicies say",
            [cell for cell in self.cells() if cell.expected is not None and not cell.kept],
            lambda cell: cell.verdict == ("open" if cell.expected else "blocked"),
        )


@dataclass(slots=True)
class Witnesses:
    """Who reached which listener, and when: this makes "no connection" mean blocked."""

    seen: dict[Dial, list[tuple[float, float, str]]] = field(default_factory=dict)
    """For each address: beginning and end of each row that reached it, and whose row that is."""
    gone: set[Dial] = field(default_factory=set)
    """What no longer listened at the end, or was replaced by then: a row takes long, and nobody knows since when."""

    def saw(self, dials: Sequence[Dial], row: Row, who: str) -> None:
        """Note all that a row reached."""
        for number, dial in enumerate(dials):
            if row.outcome(number) is Outcome.OPEN:
                self.seen.setdefault(dial, []).append((row.started, row.ended, who))

    def looked_last(self, dials: Sequence[Dial], row: Row, who: str) -> None:
        """Note what a source's last look reaches, and what it no longer reaches although it did before."""
        self.saw(dials, row, who)
        self.gone |= {dial for number, dial in enumerate(dials) if row.outcome(number) is not Outcome.OPEN}

    def of(self, destination: Destination, row: Row) -> str:
        """Who reached a destination while a row was measured: before its end and after its beginning; "" for nobody.

        For a Service, all of its listeners together are a proof too; if one of them is gone, there is no proof.
        """
        if not self.gone.isdisjoint(destination.listeners):
            return ""
        direct = self.beside(destination.dial, row)
        if direct or not destination.listeners:
            return direct
        behind = [self.beside(each, row) for each in destination.listeners]
        return " and ".join(dict.fromkeys(behind)) + " behind the Service" if all(behind) else ""

    def beside(self, dial: Dial, row: Row) -> str:
        """The same for one address."""
        if dial in self.gone:
            return ""
        seen = self.seen.get(dial, ())
        before = next((who for begun, _, who in seen if begun <= row.ended), "")
        after = next((who for _, ended, who in reversed(seen) if ended >= row.started), "")
        return after if before and after else ""
