"""``k8ssec controls``: the packaged controls, in the words of their own files."""

from __future__ import annotations

import argparse
import difflib
import textwrap
from collections.abc import Iterator, Sequence

from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.families import FAMILIES
from pytest_k8ssec.catalogue.frameworks import FRAMEWORKS, reference
from pytest_k8ssec.catalogue.packaged import packaged_controls as packaged
from pytest_k8ssec.cli.say import say_text
from pytest_k8ssec.errors import SettingsError

_WIDTH = 100


def controls(arguments: argparse.Namespace) -> int:
    """List all controls or a family's, or explain one.

    Raises:
        SettingsError: no control and no family has that name.
    """
    name = str(arguments.name or "")
    known = packaged()
    one = next((each for each in known if each.id == name), None)
    if one:
        lines = _explained(one)
    elif not name or name in FAMILIES:
        lines = _listed([each for each in known if name in ("", each.family.id)])
    else:
        raise no_such_control(name, known)
    say_text("\n".join(lines))
    return 0


def no_such_control(name: str, known: Sequence[Control]) -> SettingsError:
    """The error for a name that no control and no family has."""
    names = [*(each.id for each in known), *FAMILIES]
    close = difflib.get_close_matches(name, names, n=3) or [each for each in names if name and name in each]
    hint = f"did you mean {' or '.join(close)}?" if close else "`k8ssec controls` lists all"
    return SettingsError(f"control {name!r}: no control and no family has that name", fix=hint)


def _listed(chosen: Sequence[Control]) -> Iterator[str]:
    width = max((len(each.id) for each in chosen), default=0)
    family = ""
    for each in chosen:
        if each.family.id != family:
            yield f"{'' if not family else chr(10)}{each.family.title} (-m {each.family.id})"
            family = each.family.id
        yield f"  {each.id:<{width}}  {each.severity:<8}  {each.subject:<7}  {each.title}"
    yield f"\n{len(chosen)} controls; `k8ssec controls ID` explains one, `pytest --k8ssec-controls -k ID` runs it"


def _explained(one: Control) -> Iterator[str]:
    yield f"{one.id}: {one.title}"
    yield f"severity {one.severity}, judges the {one.subject}{', slow' if one.slow else ''}"
    for heading, text, snippets in (
        ("Why", one.why, ()),
        ("Remediation", one.remediation, one.snippets),
        ("Sources", one.sources, ()),
    ):
        if text:
            yield from ("", heading, *_paragraphs(text))
        for snippet in snippets:
            yield from ("", textwrap.indent(snippet.text, "    "))
    yield from ("", "Mappings", *_mappings(one))
    if one.sabotages:
        yield from ("", "Sabotages: what --k8ssec-sabotage breaks to prove that this control notices")
        yield from (f"  {each.name}: {each.title}" for each in one.sabotages)
    yield from ("", f"run it: pytest --k8ssec-controls -k {one.id}")


def _paragraphs(text: str) -> Iterator[str]:
    for at, paragraph in enumerate(text.split("\n\n")):
        if at:
            yield ""
        yield textwrap.fill(
            " ".join(paragraph.split()), _WIDTH, initial_indent="  ", subsequent_indent="  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def _mappings(one: Control) -> Iterator[str]:
    for framework, ids in one.mappings.items():
        for ident in ids:
            found = reference(framework, ident)
            yield f"  {FRAMEWORKS[framework].name} {found.edition}: {ident} {found.title}"
            yield f"    {found.url}"
