"""A search that proves itself: everything planted must be found, and what is found is told without the value."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.leakage import Search, found_all, marked
from pytest_k8ssec.stack import Leak, leaks

MARKER = "0123456789abcdef0123456789abcdef"


def search(*documents: dict[str, Any]) -> Search:
    """The marker, looked for in documents."""
    finds = tuple((f"{each['kind']} ours/x", leak) for each in documents for leak in leaks(each, {"marker": MARKER}))
    return Search("what was planted", finds)


def test_what_is_planted_is_found() -> None:
    """In every form, and in the event."""
    assert found_all(search(*marked("ours", MARKER)))


@pytest.mark.parametrize("form", ["plain", "base64", "twice", "packed", "packed-twice", "event"])
def test_one_form_that_is_missed_is_noticed(form: str) -> None:
    """A search that is blind to one of them proves nothing."""
    config_map, event = marked("ours", MARKER)
    if form == "event":
        event["message"] = "nothing"
    else:
        del config_map["data"][form]
    assert not found_all(search(config_map, event))


def test_evidence_tells_places_and_how_many_there_are_more() -> None:
    """By document, field and form."""
    finds = tuple((f"Pod web/{number}", Leak("key", "spec.x", "in base64")) for number in range(7))
    found = Search("7 objects", finds).evidence
    assert Outcome.DONE is found.outcome
    assert found.detail.startswith("Pod web/0: spec.x in base64; Pod web/1")
    assert found.detail.endswith("and 2 more")
    assert Outcome.ABSENT is Search("7 objects", ()).evidence.outcome


def test_what_was_not_looked_at_may_hold_it() -> None:
    """Nothing was found, and nothing is known; what was found is."""
    cut = Search("2 logs", (), ("log of web/a shop",))
    assert (None, Outcome.ABSENT) == (cut.found, cut.evidence.outcome)
    assert "log of web/a shop: only its beginning was read" == cut.evidence.detail
    find = ("log of web/b shop", Leak("key", "text", "in plain"))
    assert True is Search("2 logs", (find,), cut.cut).of("key").found
    assert False is Search("2 logs", (find,)).of("other").found


def test_what_was_found_is_told_apart_by_value_and_document() -> None:
    """What is at home is not elsewhere."""
    home, other = ("Secret web/key", Leak("key", "data.x", "")), ("Pod web/a", Leak("other", "spec.x", ""))
    found = Search("2 objects", (home, other))
    assert (home,) == found.of("key").finds
    assert (home,) == found.at({"Secret web/key"}).finds
    assert (other,) == found.elsewhere_than({"Secret web/key"}).finds
