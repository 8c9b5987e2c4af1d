"""What documentation is made from the code: docs/reference/controls from the controls, and the blocks within other pages.

A control has one page; an index lists them by family, theme and framework. Blocks are what ``docs.blocks`` makes.

python -m docs.generate            write all of it, and remove the pages of controls that are gone
python -m docs.generate --check    write nothing; each page that differs is named, and the exit code is 1
"""

from __future__ import annotations

import argparse
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from docs import blocks
from docs.themes import THEMES, of_theme
from pytest_k8ssec.catalogue.control import Control, Sabotage
from pytest_k8ssec.catalogue.families import FAMILIES
from pytest_k8ssec.catalogue.frameworks import FRAMEWORKS, reference
from pytest_k8ssec.catalogue.packaged import packaged_controls

PAGES = Path(__file__).parent / "reference" / "controls"
_INDEX = "README.md"
_WIDTH = 120
_REPOSITORY = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check all pages; the exit code is 1 where a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Documentation from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; name each page that differs")
    arguments = parser.parse_args(argv)
    wanted = pages()
    drifted = sorted(_drifted(wanted))
    for path in drifted:
        if arguments.check:
            why = "is not there" if not path.exists() else "differs" if path in wanted else "belongs to no control"
            print(f"{path.relative_to(_REPOSITORY)}: {why}; `make docs` fixes it", file=sys.stderr)
        elif path in wanted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 1 if drifted and arguments.check else 0


def pages() -> dict[Path, str]:
    """Every page's text by its file: those of the controls, and those that have a block."""
    found = packaged_controls()
    made = {PAGES / f"{control.id}.md": "\n".join(_page(control)) + "\n" for control in found}
    return {**made, PAGES / _INDEX: "\n".join(_index(found)) + "\n", **blocks.filled(_REPOSITORY)}


def _drifted(wanted: dict[Path, str]) -> Iterator[Path]:
    """The pages that are missing, differ, or should not be there."""
    for path in {*wanted, *PAGES.glob("*.md")}:
        if not path.exists() or path.read_text(encoding="utf-8") != wanted.get(path):
            yield path


def _page(control: Control) -> Iterator[str]:
    """One control's page, line by line."""
    source = Path(inspect.getfile(control.function)).relative_to(_REPOSITORY).as_posix()
    yield f"# {control.id}"
    yield ""
    yield f"{control.title}."
    yield ""
    yield "| severity | judges | family | slow |"
    yield "|---|---|---|---|"
    yield f"| {control.severity} | the {control.subject} | {control.family.title} | {'yes' if control.slow else 'no'} |"
    yield from _section("Why", _prose(control.why))
    yield from _section("What is done", _prose(inspect.getdoc(control.function) or ""))
    if control.dimensions:
        yield from ("", f"Each combination of {', '.join(control.dimensions)} that exists is tried, or it is not held.")
    yield from _section("Remediation", _prose(control.remediation[:1].upper() + control.remediation[1:]))
    for snippet in control.snippets:
        yield from ("", f"```{snippet.language}", snippet.text, "```")
    yield from _section("Sabotage", "\n".join(_sabotages(control)))
    yield from _section("Run it alone", "\n".join(_commands(control)))
    yield from _section("Sources", "\n".join(f"- {each.strip()}" for each in control.sources.split(";")))
    yield from _section("References", "\n".join(_references(control)))
    yield ""
    yield f"Made by `make docs` from [{source}](../../../{source}): change it there."


def _section(heading: str, text: str) -> Iterator[str]:
    if text:
        yield from ("", f"## {heading}", "", text)


def _prose(text: str, indent: str = "") -> str:
    """Paragraphs in lines that are not too long; further lines of one begin with ``indent``."""
    return "\n\n".join(
        textwrap.fill(part, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for part in text.split("\n\n")
    )


def _sabotages(control: Control) -> Iterator[str]:
    yield "What `--k8ssec-sabotage` breaks to prove that this control notices:"
    yield ""
    for each in control.sabotages:
        yield _prose(f"- `{each.name}`: {each.title}. {_effect(control, each)}", indent="  ")


def _effect(control: Control, sabotage: Sabotage) -> str:
    """Where it is done, and which controls it is expected to move."""
    where = "On a cluster of its own" if sabotage.needs_cluster else "On the running cluster, and undone"
    also = f"; it must breach {_links(sabotage.kills - {control.id})} too" if sabotage.kills - {control.id} else ""
    blind = f"; {_links(sabotage.blinds)} can't tell meanwhile" if sabotage.blinds else ""
    words = sabotage.shows.get(control.id, ())
    named = f"; the control must name {', '.join(f'`{each}`' for each in words)}" if words else ""
    return f"{where}{also}{blind}{named}."


def _commands(control: Control) -> Iterator[str]:
    stack = " --k8ssec-stack DIR" if control.subject == "stack" else ""
    yield "```sh"
    yield f"pytest --k8ssec-controls{stack} -k {control.id}"
    yield f"pytest --k8ssec-controls{stack} -k {control.id} --k8ssec-sabotage"
    yield "```"


def _references(control: Control) -> Iterator[str]:
    for key, ids in control.mappings.items():
        for ident in ids:
            found = reference(key, ident)
            name = found.edition if key == "others" else f"{FRAMEWORKS[key].name} {found.edition}"
            yield f"- {name}: [{ident}]({found.url}) {found.title}"


def _index(found: Sequence[Control]) -> Iterator[str]:
    """The index, line by line."""
    yield "# Controls"
    yield ""
    yield f"{len(found)} controls. `k8ssec controls` prints this list, `k8ssec controls ID` one of them."
    yield ""
    yield "## By family"
    yield ""
    yield "`-m FAMILY` runs one family."
    for family in FAMILIES.values():
        if own := [control for control in found if control.family is family]:
            yield from (
                "",
                f"### {family.title} (`-m {family.id}`)",
                "",
                "| control | severity | judges | |",
                "|---|---|---|---|",
            )
            yield from (f"| {_link(one.id)} | {one.severity} | {one.subject} | {one.title} |" for one in own)
    yield ""
    yield "## By theme"
    yield ""
    yield "| what happens to clusters | controls |"
    yield "|---|---|"
    yield from (f"| {theme} | {_links(of_theme(patterns, found))} |" for theme, patterns in THEMES.items())
    yield ""
    yield "## By framework"
    yield ""
    yield "`-m FRAMEWORK` runs every control with a reference to it."
    for key, framework in FRAMEWORKS.items():
        rows = {ident: [one.id for one in found if ident in one.mappings[key]] for ident in framework.ids}
        yield from ("", f"### [{framework.name}]({framework.url}) (`-m {key}`)", "", f"{framework.edition}.", "")
        yield from ("| id | | controls |", "|---|---|---|")
        for ident, ids in rows.items():
            if ids:
                at = reference(key, ident)
                yield f"| [{ident}]({at.url}) | {at.title} | {_links(ids)} |"
    yield ""
    yield "Made by `make docs` from pytest_k8ssec/controls: change it there."


def _link(ident: str) -> str:
    return f"[{ident}]({ident}.md)"


def _links(ids: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(_link(ident) for ident in sorted(ids))


if __name__ == "__main__":
    sys.exit(main())
