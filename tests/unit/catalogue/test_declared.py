"""Exceptions are as fine as what they are for, and those that nothing asks for are told."""

from __future__ import annotations

import pytest

from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.verdict import Judge

NAMES = object_names("Deployment", "web", "shop", ["/init"])


@pytest.mark.parametrize(
    ("subject", "covered"),
    [
        ("web/shop", True),
        ("Deployment web/shop", True),
        ("web/shop/init", True),
        ("Deployment web/shop/init", True),
        ("CronJob web/shop", False),
        ("web/shop/main", False),
        ("web", False),
        ("shop", False),
        ("web/*", False),
    ],
)
def test_a_thing_is_covered_by_each_of_its_names(subject: str, covered: bool) -> None:
    """And by no other thing's; what counts is told with its reason, and what does not is told as well."""
    judge = Judge()
    declared = Declared(judge, {subject: "must be root once"}, "fine")
    assert covered is declared.covers(*NAMES)
    declared.tell_unused()
    (note,) = judge.notes
    assert note.startswith(
        f"{subject} is declared fine: must be root once" if covered else f"{subject} is declared, and"
    )


def test_the_name_that_was_probably_meant_is_told() -> None:
    """A mistyped exception excepts nothing."""
    judge = Judge()
    declared = Declared(judge, {"web/shpo": "x"})
    assert not declared.covers(*NAMES)
    declared.tell_unused()
    assert "did you mean 'web/shop'?" in judge.notes[0]


def test_each_is_told_once_and_releases_are_told_elsewhere() -> None:
    """However many things it covers."""
    judge = Judge()
    declared = Declared(judge, {"web/shop": "x", "Release prometheus": "reviewed"})
    assert declared.covers(*NAMES)
    assert declared.covers(*NAMES)
    declared.tell_unused()
    assert ("web/shop is declared: x",) == judge.notes
