"""examples/team-repo as a team has it: from the wheel, in an environment with nothing else, on clusters of its own.

As it is, everything is held, waived or declared. Then each of many mistakes has to be found, in the line that declares what is to
blame; and in the line seven further down, once the program has moved.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.machine import tools
from tests.cluster.harness import ROOT, Place, installed_from_wheel
from tests.cluster.mistakes import FILES, MISTAKES, plant

REPO = ROOT / "examples" / "team-repo"
_MOVED = 7
_ENVIRON = {
    "BANK_KEY": "made-up-for-the-test",
    "COLUMNS": "200",
    "K8SSEC_FRESH": "false",  # as a team has it: its second run has a frozen cluster, and this one is in the cache anyway
}
_GREEN = {"held", "waived", "not-applicable"}
_WHERE = """\
import json
from pathlib import Path
from pytest_k8ssec.evidence.causes import ObjectName
from pytest_k8ssec.facts.culprits.places import DeclaredPlaces

def test_where(stack):
    places = DeclaredPlaces(stack, None, Path.cwd())
    found = {}
    for each in stack.objects:
        name = ObjectName(each.kind, each.name, each.namespace)
        found[str(name)] = places.of(name)
    Path("where.json").write_text(json.dumps(found))
"""
"""A test that writes down where each object is declared, asked as a breach would ask."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what the repository asks for."""
    return installed_from_wheel(tmp_path_factory.mktemp("installed"), REPO / "requirements.txt")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[Place]:
    """A copy of the repository, whose waivers end in two months, whatever day it is: the example's own day will come."""
    place = Place(tmp_path_factory.mktemp("team"), tools.cache_root(), str(installed / "python"))
    for path in place.project.iterdir():
        path.unlink()
    shutil.copytree(REPO, place.project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", "__pycache__"))
    waivers = place.project / "k8ssec-waivers.yaml"
    end = datetime.now(UTC).date() + timedelta(days=60)
    waivers.write_text(re.sub(r"expires: .*", f"expires: {end}", waivers.read_text()))
    yield place
    place.clean_up()


@pytest.fixture(scope="module")
def green(team: Place) -> Green:
    """What ``pytest`` says of it as it is."""
    where = team.file("tests/test_where.py", _WHERE)
    done = team.pytest(environ=_ENVIRON)
    code = done.end(600)
    where.unlink()
    assert (team.project / "where.json").is_file(), done.output
    places: dict[str, str] = json.loads((team.project / "where.json").read_text())
    return Green(code, done.output, _results(team), places)


def test_its_files_are_well(team: Place) -> None:
    """So says what its hook runs before each commit, and without a cluster."""
    checked = team.k8ssec("config", "check", environ=_ENVIRON)
    assert checked.end(60) == 0, checked.output


def test_it_is_green_as_it_is(green: Green, team: Place) -> None:
    """All controls and the team's own tests have a verdict, and none of them is bad; nothing is taken from this checkout."""
    assert pytest.ExitCode.OK == green.code, green.output
    verdicts = {name: result["verdict"] for name, result in green.results.items()}
    assert {} == {name: verdict for name, verdict in verdicts.items() if verdict not in _GREEN}
    assert {"net-ingress-deny": "waived", "sup-pull-auth": "not-applicable"} == {
        name: verdict for name, verdict in verdicts.items() if verdict != "held"
    }
    assert {each.id for each in packaged_controls()} | {"test_only_the_cart_reaches_the_broker"} == set(verdicts)
    assert str(ROOT) not in green.output.replace(str(team.root), "")


def test_each_mistake_is_found_in_its_line_wherever_that_moves(green: Green, team: Place) -> None:
    """All of them at once, with seven lines put before all else in each file: seven further down than in the first run."""
    infra = team.project / "infra"
    originals = {name: (infra / name).read_text() for name in FILES}
    plant(infra)
    for name in FILES:
        file = infra / name
        file.write_text("# moved\n" * _MOVED + file.read_text())
    controls = dict.fromkeys(one.control for one in MISTAKES)
    done = team.pytest("-k", " or ".join(controls), environ=_ENVIRON)
    assert pytest.ExitCode.TESTS_FAILED == done.end(600), done.output
    results = _results(team)
    assert dict.fromkeys(controls, "breached") == {name: each["verdict"] for name, each in results.items()}
    assert [] == list(_wrong(results, originals, green.places))


def _wrong(results: dict[str, Any], originals: dict[str, str], before: dict[str, str]) -> Iterator[str]:
    """Of which mistakes anything else is told than is right, in words."""
    for one in MISTAKES:
        told = {each for blame in results[one.control]["blamed"] for each in map(_Culprit.of, blame["culprits"])}
        now = {each.place for each in told if each.what == one.culprit and each.field.endswith(one.field)}
        place = one.place(originals[one.file])
        file, _, line = place.partition(":")
        if before.get(one.culprit) != place:
            yield f"{one.culprit} was told in {before.get(one.culprit)}, and right is {place}"
        if now != {f"{file}:{int(line) + _MOVED}"}:
            yield f"{one.control}: {one.culprit} {one.field} in {sorted(now)}; right is {place}, {_MOVED} lines on"


@dataclass(frozen=True)
class Green:
    """A run of the repository as it is."""

    code: int
    output: str
    results: dict[str, Any]
    places: dict[str, str]
    """Where each object of the stack is declared."""


@dataclass(frozen=True)
class _Culprit:
    """One that report.json names."""

    what: str
    field: str
    place: str

    @classmethod
    def of(cls, told: dict[str, str]) -> _Culprit:
        """Of the report's own form."""
        name = f"{told['namespace']}/{told['name']}" if told["namespace"] else told["name"]
        return cls(f"{told['kind']} {name}", told["field"], told["place"])


def _results(repo: Place) -> dict[str, Any]:
    report = json.loads((repo.project / "build" / "k8ssec" / "report.json").read_text())
    return {each["control"]: each for each in report["results"]}
