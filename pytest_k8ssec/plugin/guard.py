"""Packaged controls get our fixtures, whatever a conftest or another plugin defines under those names.

A control whose ``cluster`` is a mock proves nothing. In users' tests and in their own controls the nearest fixture of a
name wins, as everywhere in pytest; in packaged controls our fixtures always win. Both use the same session fixtures, so
that they share one cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.catalogue.packaged import is_control_file, packaged_control

if TYPE_CHECKING:
    from pytest_k8ssec.sabotages.packs import Pack

Defined = Mapping[str, Sequence[Any]]
"""By name, the definitions that are seen: the last one counts, unless it asks for the one before."""

_SCOPES = ("session", "package", "module", "class", "function")


@cache
def guarded_names() -> frozenset[str]:
    """All fixtures of ours."""
    kind = type(vars(_module())["judge"])
    return frozenset(name for name, each in vars(_module()).items() if type(each) is kind and not name.startswith("_"))


def install(session: pytest.Session) -> None:
    """From here on, give our fixtures to each packaged control that is collected."""
    # Which fixture a name stands for can't be said in a public way. pytest (8.3 to 9.2) asks this one method, once for each
    # test function, before anybody parametrizes it; should it ask another one some day, `replaced` fails each control.
    manager: Any = session._fixturemanager  # noqa: SLF001 - as above
    seen = manager.getfixtureinfo

    def getfixtureinfo(node: pytest.Item, func: Any, cls: Any) -> Any:
        info = seen(node, func, cls)
        return info if packaged_control(func) is None else _with_ours(info, own_fixtures(session))

    manager.getfixtureinfo = getfixtureinfo


def own_fixtures(session: pytest.Session) -> dict[str, tuple[Any, ...]]:
    """Our definition of each name, as the plugin registered it; none if somebody removed it."""
    manager: Any = session._fixturemanager  # noqa: SLF001 - see install
    return {
        name: tuple(each for each in manager.getfixturedefs(name, session) or () if _is_ours(each))[:1]
        for name in guarded_names()
    }


def insist(item: pytest.Item) -> None:
    """Give a packaged control our fixtures once more: parametrizing a test may have put values in their place."""
    if packaged_control(getattr(item, "function", None)) is None:
        return
    given: Any = item
    for known in (given._fixtureinfo.name2fixturedefs, given._request._arg2fixturedefs):  # noqa: SLF001 - see install; in 8.3 one is a copy
        known.update(own_fixtures(item.session))


def replaced(item: pytest.Function) -> list[str]:
    """Names of fixtures whose value a packaged control did not get from us, by whatever means; [] for other tests."""
    if packaged_control(item.function) is None:
        return []
    own = own_fixtures(item.session)
    made: Mapping[str, Any] = item._request._fixture_defs  # noqa: SLF001 - which fixture gave a value is told nowhere else
    return sorted(
        name
        for name in guarded_names().intersection(item.funcargs)
        if made.get(name) not in own[name] or item.funcargs[name] is not made[name].cached_result[0]
    )


def resolver(item: pytest.Function, pack: Pack) -> Callable[[str], Any]:
    """Gives a sabotage the fixtures that it names: ours if it is packaged, whichever test it runs before."""
    # A sabotage names fixtures as a test does; there is no public way to ask an item for one.
    request: Any = item._request  # noqa: SLF001 - as above
    if packaged_control(item.function) is None and all(is_control_file(_file(each.live)) for each in pack.members):
        request = type(request)(item, _ispytest=True)
        request._arg2fixturedefs = {**request._arg2fixturedefs, **own_fixtures(item.session)}  # noqa: SLF001 - as above
    resolve: Callable[[str], Any] = request.getfixturevalue
    return resolve


def _file(function: Any) -> Path:
    return Path(function.__code__.co_filename if function is not None else "")


def _is_ours(definition: Any) -> bool:
    """Whether its function stands in our module, and not only says so."""
    return getattr(definition.func, "__globals__", None) is vars(_module())


def _module() -> ModuleType:
    """Where our fixtures stand; pytest itself imports it, so that it can rewrite its asserts."""
    from pytest_k8ssec.plugin import fixtures

    return fixtures


def _with_ours(info: Any, own: Defined) -> Any:
    """What pytest knows of a test's fixtures, as it would be if nobody else had defined one of our names."""
    seen: Defined = info.name2fixturedefs
    foreign = {name for name in guarded_names().intersection(seen) if tuple(seen[name][-1:]) != own[name]}
    initial = tuple(
        name
        for name in info.initialnames
        # Not asked for by the control: autouse, or by the ini file. What rests on another's fixture goes with it.
        if name in info.argnames or not (name in guarded_names() or foreign.intersection(_closure([name], seen)))
    )
    defined = {**seen, **own}
    closure = sorted(_closure(initial, defined), key=lambda name: _SCOPES.index(_scope(defined.get(name, ()))))
    return replace(info, initialnames=initial, names_closure=closure, name2fixturedefs=defined)


def _closure(wanted: Iterable[str], defined: Defined) -> list[str]:
    """The names, and all that their fixtures ask for."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in found:
            return
        found[name] = None
        for each in reversed(defined.get(name, ())):
            for needed in each.argnames:
                visit(needed)
            if name not in each.argnames:
                break

    for name in wanted:
        visit(name)
    return list(found)


def _scope(definitions: Sequence[Any]) -> str:
    return str(definitions[-1].scope) if definitions else "function"
