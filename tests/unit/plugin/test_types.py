"""What a user's type checker sees: no ``Any`` in what the package hands out, but where it is JSON and says so."""

from __future__ import annotations

import collections.abc
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest

import pytest_k8ssec
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.plugin import fixtures, guard

_CALLED = ("__call__", "__getitem__", "__iter__", "__len__", "__init__")
"""Methods that are public in spite of their names."""


def names() -> dict[str, object]:
    """All that any module of the package knows: a type may be named that is imported for type checkers only.

    No public name of ours stands for two things: see test_layout.
    """
    found: dict[str, object] = {}
    for info in pkgutil.walk_packages(pytest_k8ssec.__path__, "pytest_k8ssec."):
        if not info.name.startswith(
            ("pytest_k8ssec.agent.remote", "pytest_k8ssec.cli.__main__", "pytest_k8ssec.controls")
        ):
            module = import_module(info.name)
            found |= {name: each for name, each in vars(module).items() if getattr(each, "__module__", "") == info.name}
            found |= {name: each for name, each in vars(module).items() if name in {"Body", "Items", "Facts"}}
    return {**vars(typing), **vars(collections.abc), **found, "JSON": JSON, "pytest": pytest}


NAMES = names()


def hints(of: Any) -> dict[str, Any]:
    """Types of parameters, results or fields by name."""
    known = {**NAMES, **vars(import_module(of.__module__)), "array": list}  # array.array takes a type in 3.12 only
    return typing.get_type_hints(of, known, include_extras=True)


def functions(of: type) -> Iterator[tuple[str, FunctionType]]:
    """The public methods and properties of a class, those that it has from a class of ours too."""
    for base in of.__mro__:
        if not base.__module__.startswith("pytest_k8ssec"):
            continue
        for name, each in vars(base).items():
            if name.startswith("_") and name not in _CALLED:
                continue
            plain = (
                each.fget if isinstance(each, property) else each.func if isinstance(each, cached_property) else each
            )
            plain = plain.__func__ if isinstance(plain, (classmethod, staticmethod)) else plain
            plain = inspect.unwrap(plain) if callable(plain) else plain
            if isinstance(plain, FunctionType) and plain.__module__.startswith("pytest_k8ssec"):
                yield f"{base.__name__}.{name}", plain


def untyped(shape: Any, where: str, seen: set[Any]) -> Iterator[str]:
    """Each place in a type, and in all public members of classes of ours that it names, at which there is ``Any``."""
    if shape == JSON or typing.get_origin(shape) is typing.Literal:
        return
    if shape is Any:
        yield where
    arguments = typing.get_args(shape)
    if typing.get_origin(shape) is collections.abc.Callable and arguments[0] is ...:
        yield f"{where} (of any arguments)"
    for each in arguments:
        for one in each if isinstance(each, list) else [each]:
            yield from untyped(one, where, seen)
    if inspect.isclass(shape) and shape.__module__.startswith("pytest_k8ssec") and shape not in seen:
        yield from of_members(shape, seen)


def of_members(shape: type, seen: set[Any]) -> Iterator[str]:
    """The same of a class of ours that was not looked at yet."""
    seen.add(shape)
    for name, each in hints(shape).items():
        if not name.startswith("_"):
            yield from untyped(each, f"{shape.__name__}.{name}", seen)
    for name, function in functions(shape):
        yield from of_function(function, name, seen)


def of_function(function: Callable[..., object], where: str, seen: set[Any]) -> Iterator[str]:
    """The same of a function's parameters and its result; what has no type at all is named too."""
    known = hints(function)
    for name in inspect.signature(function).parameters:
        if name not in known and name not in {"self", "cls"}:
            yield f"{where}({name}: nothing)"
    for name, each in known.items():
        yield from untyped(each, f"{where}({name})" if name != "return" else f"{where}()", seen)


def defined(name: str) -> Callable[..., object]:
    """The function of a fixture."""
    made = vars(fixtures)[name]
    function: Callable[..., object] = made._get_wrapped_function()
    return function


PUBLIC_FIXTURES = sorted(name for name in guard.guarded_names() if not name.startswith("k8ssec_"))


def loose(shape: Any) -> list[str]:
    """What is found in a type."""
    return list(untyped(shape, "here", set()))


class _Loose:
    """What must be found out, member by member."""

    field: dict[str, Any]

    def method(self, given: Callable[..., None]) -> list[Any]:
        """Take and give anything."""
        raise NotImplementedError

    @property
    def attribute(self) -> Any:
        """Whatever it is."""

    def bare(self, given):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - as above
        """Say nothing of types."""


def test_any_is_found_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """In what a type is made of, and in the members of a class; JSON is said to be such."""
    for shape in (Any, list[Any], dict[str, Any] | None, Callable[[Any], None], Callable[..., None]):
        assert loose(shape), shape
    for fine in (int, JSON, dict[str, JSON], Callable[[str], JSON], tuple[int, ...], typing.Literal["Any"], _Loose):
        assert [] == loose(fine), fine
    monkeypatch.setattr(_Loose, "__module__", "pytest_k8ssec.plain")
    for each in (_Loose.method, _Loose.bare, vars(_Loose)["attribute"].fget):
        monkeypatch.setattr(each, "__module__", "pytest_k8ssec.plain")
    assert [
        "_Loose.field",
        "_Loose.method(given) (of any arguments)",
        "_Loose.method()",
        "_Loose.attribute()",
        "_Loose.bare(given: nothing)",
    ] == loose(_Loose)


@pytest.mark.parametrize("name", PUBLIC_FIXTURES)
def test_a_fixture_has_a_type_without_any(name: str) -> None:
    """Nor has anything public of what it gives, however deep."""
    assert [] == list(untyped(hints(defined(name))["return"], name, set()))


@pytest.mark.parametrize("name", pytest_k8ssec.__all__)
def test_a_public_name_has_a_type_without_any(name: str) -> None:
    """Classes and functions that a test or a control names."""
    public = getattr(pytest_k8ssec, name)
    if public == JSON or name in {"control", "sabotage"}:  # those take whichever function a team writes
        return
    found = untyped(public, name, set()) if inspect.isclass(public) else of_function(public, name, set())
    assert [] == list(found)
