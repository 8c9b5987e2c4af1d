"""``python -m scaffold ID``: writes a control's file, and enters it where its broken probes are tested."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_k8ssec.catalogue.families import FAMILIES
from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER

_TEMPLATE = Path(__file__).with_name("control.txt")
_FAULTS = Path(__file__).parents[1] / "tests" / "cluster" / "test_faults.py"
_ID = re.compile(r"[a-z]+(-[a-z0-9]+)+")
NEXT = """\
{file}
  1. Replace each TODO; until then `make test-fast` fails.
  2. List its references in @control(cis=..., others=...); new ones go into pytest_k8ssec/catalogue/frameworks.py.
  3. .venv/bin/pytest --k8ssec-controls pytest_k8ssec/controls -k {ident} --k8ssec-sabotage
     It must be held, breached, and held again.
  4. tests/cluster/test_faults.py lists it among those with pods; take it out, or list it elsewhere, as fits.
  5. make docs lint
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Scaffold one control. Exit code 2 where the id is none, or is taken."""
    parser = argparse.ArgumentParser(prog="python -m scaffold", description="A new control, with its tests.")
    parser.add_argument("id", help="family-slug, such as kubelet-profiling")
    ident = str(parser.parse_args(argv).id)
    family, _, slug = ident.partition("-")
    if not _ID.fullmatch(ident) or family not in FAMILIES:
        parser.error(f"{ident!r} is not of the form family-slug, family one of {', '.join(FAMILIES)}")
    file = CONTROLS_FOLDER / family / f"{slug.replace('-', '_')}.py"
    if file.exists():
        parser.error(f"{ident}: is there already: {file}")
    file.parent.mkdir(exist_ok=True)
    package = file.with_name("__init__.py")
    if not package.exists():
        package.write_text(f'"""Controls of the family {FAMILIES[family].title}."""\n', encoding="utf-8")
    text = _TEMPLATE.read_text(encoding="utf-8").replace("@NAME@", ident.replace("-", "_"))
    file.write_text(text, encoding="utf-8")
    _FAULTS.write_text(entered(_FAULTS.read_text(encoding="utf-8"), ident), encoding="utf-8")
    sys.stdout.write(NEXT.format(file=file, ident=ident))
    return 0


def entered(faults: str, ident: str) -> str:
    """The text of the fault tests, with the control among those that probe from pods.

    Raises:
        ValueError: the text has no such set.
    """
    found = re.search(r"^WITH_PODS = \{\n(.*?)^\}", faults, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError("tests/cluster/test_faults.py: has no set WITH_PODS")
    lines = sorted({*found[1].splitlines(keepends=True), f'    "{ident}",\n'})
    return faults[: found.start(1)] + "".join(lines) + faults[found.end(1) :]


if __name__ == "__main__":
    sys.exit(main())
