"""A journal of results: what an interrupted run found counts, where nothing that decides a verdict has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plugin.journal import Journal, fingerprint
from pytest_k8ssec.settings import Settings

ENTRY = {"control": "net-door", "verdict": "held"}


def test_results_are_found_again(tmp_path: Path) -> None:
    """In the order in which they came, over several interruptions."""
    file = tmp_path / "report" / "journal.jsonl"
    Journal(file, "a").add("one", ENTRY)
    Journal(file, "a").add("two", {**ENTRY, "verdict": "breached"})
    assert {"one": ENTRY, "two": {**ENTRY, "verdict": "breached"}} == Journal(file, "a").earlier


def test_results_of_something_else_do_not_count(tmp_path: Path) -> None:
    """Another fingerprint: they go, and a new journal begins."""
    file = tmp_path / "journal.jsonl"
    Journal(file, "a").add("one", ENTRY)
    changed = Journal(file, "b")
    assert {} == changed.earlier
    changed.add("two", ENTRY)
    assert {"two": ENTRY} == Journal(file, "b").earlier


@pytest.mark.parametrize("text", ["garbage", "[]\n", '"a"\n{}\n', '{"event": "mine"}\n'])
def test_a_file_of_somebody_elses_is_left(tmp_path: Path, text: str) -> None:
    """It would be written over, and removed at the end."""
    file = tmp_path / "journal.jsonl"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"journal.jsonl: is not a journal of ours"):
        Journal(file, "a")
    assert text == file.read_text()


@pytest.mark.parametrize("text", ["", '{"fingerprint": "z"}\n'])
def test_an_empty_or_an_older_one_is_begun_anew(tmp_path: Path, text: str) -> None:
    """Nothing of it counts."""
    file = tmp_path / "journal.jsonl"
    file.write_text(text)
    journal = Journal(file, "a")
    journal.add("one", ENTRY)
    assert {"one": ENTRY} == Journal(file, "a").earlier


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    """The process was killed as it wrote."""
    file = tmp_path / "journal.jsonl"
    journal = Journal(file, "a")
    journal.add("one", ENTRY)
    journal.add("two", ENTRY)
    file.write_text(file.read_text()[:-9])
    journal = Journal(file, "a")
    assert {"one": ENTRY} == journal.earlier
    journal.add("three", ENTRY)
    assert {"one": ENTRY, "three": ENTRY} == Journal(file, "a").earlier


def test_the_end_leaves_nothing(tmp_path: Path) -> None:
    """And there may be nothing."""
    file = tmp_path / "journal.jsonl"
    journal = Journal(file, "a")
    journal.add("one", ENTRY)
    journal.end()
    journal.end()
    assert not file.exists()


def test_whatever_decides_a_verdict_is_in_the_fingerprint(tmp_path: Path) -> None:
    """The stack's files, packages beside it, the kind configuration, the settings."""
    stack, kit, kind = tmp_path / "stack", tmp_path / "kit", tmp_path / "kind.yaml"
    for file in (stack / "__main__.py", kit / "__init__.py", kind):
        file.parent.mkdir(exist_ok=True)
        file.write_text("one")
    settings = Settings(stack=stack, kind_config=kind)
    seen = {fingerprint(settings)}
    for file in (stack / "__main__.py", kit / "__init__.py", kind):
        file.write_text("two")
        seen.add(fingerprint(settings))
    seen.add(fingerprint(settings._replace(stack_name="other")))
    assert 5 == len(seen)
    assert fingerprint(settings) in seen
