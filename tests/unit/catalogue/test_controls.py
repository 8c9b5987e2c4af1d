"""Controls: what each packaged one must bring along, and what the two decorators refuse."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.control import Control, Sabotage, Severity, Snippet, control, sabotage
from pytest_k8ssec.catalogue.families import FAMILIES
from pytest_k8ssec.catalogue.frameworks import FRAMEWORKS, UnknownReference, reference
from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, is_control_file, packaged_controls
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.plugin import fixtures
from tests.unit.fakes import evidence
from tests.unit.machine.dockers import FakeDocker

FILES = sorted(path for path in CONTROLS_FOLDER.glob("*/*.py") if is_control_file(path))
CONTROLS = packaged_controls()
IDS = {each.id for each in CONTROLS}
SABOTAGES = [(each, made) for each in CONTROLS for made in each.sabotages]
FIXTURES = {
    name
    for name, value in vars(fixtures).items()
    if type(value).__name__ == "FixtureFunctionDefinition" or hasattr(value, "_pytestfixturefunction")
}

each_control = pytest.mark.parametrize("one", CONTROLS, ids=[each.id for each in CONTROLS])
each_sabotage = pytest.mark.parametrize(("one", "made"), SABOTAGES, ids=[made.name for _, made in SABOTAGES])


def parameters(function: Callable[..., Any]) -> set[str]:
    """Names of what a function takes."""
    return set(inspect.signature(function).parameters)


# -- the catalogue ----------------------------------------------------------------------------------------------------


def test_each_file_is_one_control_named_after_it() -> None:
    """Nothing is listed by hand, so nothing may be missed: family and file make the id, and no two are the same."""
    named = [f"{path.parent.name}-{path.stem}".replace("_", "-") for path in FILES]
    assert named == [each.id for each in CONTROLS]
    assert len(named) == len(IDS) > 0


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (FILES[0], True),
        (CONTROLS_FOLDER / "etcd" / "__init__.py", False),
        (CONTROLS_FOLDER / "etcd" / "_shared.py", False),
        (CONTROLS_FOLDER / "etcd" / "notes.md", False),
        (CONTROLS_FOLDER / "stray.py", False),
        (CONTROLS_FOLDER / "etcd" / "deep" / "x.py", False),
        (Path("/other/etcd/x.py"), False),
    ],
)
def test_which_files_are_controls(path: Path, expected: bool) -> None:
    """Modules in a family's folder, but those that begin with an underscore."""
    assert expected is is_control_file(path)


@each_control
def test_a_control_says_what_it_is(one: Control) -> None:
    """Title, why, remediation and sources come from its module's docstring; none may be missing, and none runs over."""
    assert 10 < len(one.title) < 100
    assert not one.title.endswith(".")
    assert len(one.why) > 100
    assert len(one.remediation) > 40
    assert re.search(r"https://|CIS Kubernetes Benchmark \d", one.sources)
    for text in (one.why, one.remediation, one.sources, *(each.text for each in one.snippets)):
        assert text == text.strip()
        assert not re.search(r"Remediation:|Sources:|TODO|FIXME", text)


@each_control
def test_a_control_has_references_that_are_known(one: Control) -> None:
    """Each framework has its key; those that every family has a place in are not empty; nothing is there twice.

    CIS has no recommendation for some.
    """
    assert list(FRAMEWORKS) == list(one.mappings)
    for framework, ids in one.mappings.items():
        assert len(ids) == len(set(ids))
        assert all(reference(framework, each).title for each in ids)
    assert all(one.mappings[name] for name in ("nsa", "mitre", "owasp"))
    assert set(one.family.owasp) <= set(one.mappings["owasp"])


@each_control
def test_the_sources_name_the_recommendations_that_are_mapped(one: Control) -> None:
    """What the text says and what the report says are the same numbers; ``A to B`` are all between."""
    named: set[str] = set()
    for first, last in re.findall(
        r"\b(\d+\.\d+(?:\.\d+)?)(?: to (\d+\.\d+\.\d+))?(?![\d/])", one.sources.partition(";")[0]
    ):
        start, end = (int(each.rpartition(".")[2]) for each in (first, last or first))
        named |= {f"{first.rpartition('.')[0]}.{number}" for number in range(start, end + 1)}
    assert set(one.mappings["cis"]) <= named


@each_control
def test_a_control_asks_for_fixtures_that_there_are(one: Control) -> None:
    """It records with the judge; one that judges a stack asks for it."""
    asked = parameters(one.function)
    assert "judge" in asked
    assert asked <= FIXTURES
    assert (one.subject == "stack") is ("stack" in asked)


@each_control
def test_a_control_has_a_sabotage(one: Control) -> None:
    """One that can't fail is none."""
    assert one.sabotages


@each_sabotage
def test_a_sabotage_is_of_one_kind(one: Control, made: Sabotage) -> None:
    """A generator over fixtures, or a change of the configuration with its proof; and it says what it does."""
    assert (made.live is None) is (made.mutate is not None) is (made.proof is not None) is made.needs_cluster
    if made.live:
        assert inspect.isgeneratorfunction(made.live)
        assert parameters(made.live) <= FIXTURES - {"judge", "allowed"}
    else:
        assert made.mutate
        assert made.proof
        assert {"config"} == parameters(made.mutate)
        assert 1 == len(parameters(made.proof))
    assert 20 < len(made.title)
    assert made.name != made.title


@each_sabotage
def test_a_sabotage_expects_what_there_is(one: Control, made: Sabotage) -> None:
    """It breaches its own control; none is both breached and blind; a typo would expect nothing of anybody."""
    assert one.id in made.kills
    assert made.kills | made.blinds <= IDS
    assert not made.kills & made.blinds


def test_sabotages_have_names_of_their_own() -> None:
    """Phases are chosen and reported by them."""
    names = [made.name for _, made in SABOTAGES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "made", [made for _, made in SABOTAGES if made.mutate], ids=[made.name for _, made in SABOTAGES if made.mutate]
)
def test_a_sabotage_of_the_configuration_changes_it(made: Sabotage, tmp_path: Path, fake_docker: FakeDocker) -> None:
    """What is written for its cluster differs from what is written for the intact one, and that one stays as it is."""
    intact = KindConfig.load(PACKAGED)
    before = told(intact, tmp_path / "before")
    broken = intact.copy()
    assert made.mutate
    made.mutate(broken)
    assert before != told(broken, tmp_path / "broken")
    assert before == told(intact, tmp_path / "after")


def told(config: KindConfig, folder: Path) -> tuple[str, dict[str, str]]:
    """What a configuration is, wherever it is written."""
    folder.mkdir()
    text = config.write(folder, "k8ssec-x").read_text()
    return text.replace(str(folder), ""), dict(config.replaced)


# -- the decorators ---------------------------------------------------------------------------------------------------


def module(monkeypatch: pytest.MonkeyPatch, docstring: str | None) -> str:
    """A module with this docstring, by its name."""
    monkeypatch.setitem(sys.modules, "control_under_test", ModuleType("control_under_test", docstring))
    return "control_under_test"


def annotated(name: str = "test_net_door", /, **more: Any) -> Control:
    """A control that is a function of this name."""

    def function() -> None:
        """Stand for a control."""

    function.__name__ = name
    given: dict[str, Any] = {"severity": Severity.LOW, "subject": "cluster", **more}
    assert function is control(**given)(function)
    found = control_of(function)
    assert found is not None
    return found


def test_a_control_stays_the_function_that_it_is() -> None:
    """Its id and family come from its name, references of its family come first and its own with them, each once."""
    family = FAMILIES["net"]
    found = annotated("test_net_some_door", owasp=("K09:2022", *family.owasp), cis=("5.3.1",), slow=True)
    assert ("net-some-door", family, True) == (found.id, family, found.slow)
    assert (*family.owasp, "K09:2022") == found.mappings["owasp"]
    assert (tuple(family.nsa), ("5.3.1",), ()) == (
        found.mappings["nsa"],
        found.mappings["cis"],
        found.mappings["others"],
    )


@pytest.mark.parametrize("name", ["test_door", "net_door", "test_nett_door", "check_net_door"])
def test_a_control_is_named_by_its_family(name: str) -> None:
    """Another name is refused when it is imported, with the families that there are."""
    with pytest.raises(ValueError, match=r"a control is named test_<family>_<slug>.*'etcd'"):
        annotated(name)


@pytest.mark.parametrize("framework", ["cis", "nsa", "mitre", "owasp", "others"])
def test_an_unknown_reference_is_refused(framework: str) -> None:
    """Whichever framework it is of."""
    with pytest.raises(UnknownReference, match=f'{framework} "X-1": is not known'):
        annotated(**{framework: ("X-1",)})


def test_text_is_taken_from_the_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each section as far as the next blank line, and again where there is a second one."""
    found = annotated()
    found.function.__module__ = module(
        monkeypatch,
        "The door is shut.\n\nIt matters.\nMuch.\n\nRemediation: shut it\nnow.\n\nMore words.\n\nSources: A;\nB\n",
    )
    assert ("The door is shut", "It matters.\nMuch.\n\nMore words.", "shut it\nnow.", "A;\nB") == (
        found.title,
        found.why,
        found.remediation,
        found.sources,
    )


def test_what_can_be_pasted_is_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fenced block with its language, empty lines and all; no text has any of it."""
    found = annotated()
    found.function.__module__ = module(
        monkeypatch,
        "The door is shut.\n\nWhy.\n\nRemediation: shut it.\n\n```yaml\ndoor:\n\n  shut: true\n```\n\n"
        "Or so.\n\n```sh\nSources: none\n```\n\nSources: A\n",
    )
    assert (Snippet("yaml", "door:\n\n  shut: true"), Snippet("sh", "Sources: none")) == found.snippets
    assert ("Why.\n\nOr so.", "shut it.", "A") == (found.why, found.remediation, found.sources)


def test_without_a_docstring_the_id_is_the_title(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made up."""
    found = annotated()
    found.function.__module__ = module(monkeypatch, None)
    assert ("net-door", "", "", "") == (found.title, found.why, found.remediation, found.sources)


def test_what_is_no_control_is_none() -> None:
    """Whatever else a module holds."""
    thing = type("Thing", (), {"__k8ssec_control__": "no"})()
    assert [None] * 3 == [control_of(each) for each in (annotated, 3, thing)]


def test_a_sabotage_declares_what_it_breaks() -> None:
    """Its own control always; without a proof it is live, with one it has a cluster of its own."""
    owner = annotated()

    def door_open() -> Iterator[Evidence]:
        """The door stands open.

        Further words.
        """
        yield evidence()

    def no_door(config: KindConfig) -> None:
        """Build without a door."""

    def proof(cluster: object) -> Evidence:
        return evidence()

    assert door_open is sabotage(owner.function, kills=("net-roof",), blinds=("net-wall",))(door_open)
    assert no_door is sabotage(owner.function, proof=proof)(no_door)
    live, own = owner.sabotages
    assert ("door-open", "The door stands open") == (live.name, live.title)
    assert ({"net-door", "net-roof"}, {"net-wall"}) == (set(live.kills), set(live.blinds))
    assert [door_open, None, None, False] == [live.live, live.mutate, live.proof, live.needs_cluster]
    assert [None, no_door, proof, True] == [own.live, own.mutate, own.proof, own.needs_cluster]
    assert {"net-door"} == set(own.kills)
    assert ("net-door", {}, {}) == (own.owner, own.shows, live.shows)


def test_a_sabotage_says_what_must_be_named() -> None:
    """By its own control, and by those that a mapping gives words for."""
    owner = annotated()
    sabotage(owner.function, shows=["front"], kills={"net-roof": ["tile"], "net-wall": ()})(lambda: iter(()))
    (made,) = owner.sabotages
    assert {"net-door": ("front",), "net-roof": ("tile",)} == made.shows
    assert {"net-door", "net-roof", "net-wall"} == made.kills


def test_a_sabotage_says_what_it_needs_in_order_to_take_effect() -> None:
    """That breaches a control as well, with words of its own: but never the one that must notice it."""
    owner = annotated()
    sabotage(owner.function, kills=("net-wall",), means={"net-roof": ("tile",)})(lambda: iter(()))
    (made,) = owner.sabotages
    assert {"net-door", "net-roof", "net-wall"} == made.kills
    assert {"net-roof": ("tile",)} == made.shows
    assert {"net-roof"} == made.means
    with pytest.raises(ValueError, match="net-door is the control that must notice it, and not a means"):
        sabotage(owner.function, means={"net-door": ("open",)})(lambda: iter(()))


@pytest.mark.parametrize("shows", ["front", ("",)])
def test_words_that_stand_in_everything_are_none(shows: str | tuple[str]) -> None:
    """A bare string is as many words as it has letters, and the empty one is everywhere."""
    with pytest.raises(ValueError, match="a sequence of texts that are not empty"):
        sabotage(annotated().function, shows=shows)(lambda: iter(()))


def test_only_a_control_can_be_sabotaged() -> None:
    """Its decorator stands above the other."""

    def stranger() -> None:
        """Stand for a function that is no control."""

    with pytest.raises(ValueError, match="stranger: is not a control"):
        sabotage(stranger)
