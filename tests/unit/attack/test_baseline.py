"""The baseline: budgets, what is wider and narrower, and errors that say what fixes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_k8ssec.attack.baseline import Baseline, Budget, read_baseline
from pytest_k8ssec.attack.findings import Attempt, canary_positives, findings, narrower
from pytest_k8ssec.attack.graph import Graph, Kind, Vertex
from pytest_k8ssec.errors import SettingsError
from tests.unit.attack.graphs import CONTAINER, ENTER, KEY, NODE, RIGHTS, STEAL, TO_ADMIN, UNKNOWN, edge, graph

GETS = edge("secrets-get", RIGHTS, KEY)


def through(found: Graph, agreed: Baseline | None) -> dict[str, bool | None]:
    """What each finding says, by its words."""
    return {each.what: each.through for each in findings("web/shop", found, agreed)}


def test_a_file_that_was_written_is_read_back(tmp_path: Path) -> None:
    """What the command writes is what the control reads: the same graph is within it."""
    file = tmp_path / "blast-radius.yaml"
    found = graph(ENTER, STEAL)
    written = Baseline().with_graph("web/shop", found)
    file.write_text(written.to_yaml())
    assert written == read_baseline(file)
    assert {False} == set(through(found, read_baseline(file)).values())
    assert () == narrower("web/shop", found, read_baseline(file))


def test_no_file_is_no_baseline(tmp_path: Path) -> None:
    """None is not an empty one."""
    assert read_baseline(tmp_path / "blast-radius.yaml") is None


def test_a_wider_radius_names_the_new_edges() -> None:
    """Each new edge is an attack that got through; what was agreed to before is none."""
    agreed = Baseline().with_graph("web/shop", graph(ENTER))
    wider = {what for what, got in through(graph(ENTER, STEAL), agreed).items() if got}
    assert {f"new edge {STEAL.id}", "reach more than 0 identities"} == wider


def test_a_narrower_radius_is_told_and_holds() -> None:
    """The file may follow, and nothing is breached."""
    agreed = Baseline().with_graph("web/shop", graph(ENTER, STEAL))
    assert {False} == set(through(graph(ENTER), agreed).values())
    assert (STEAL.id,) == narrower("web/shop", graph(ENTER), agreed)


def test_a_workload_that_was_never_agreed_to_is_wider() -> None:
    """A new workload needs a line of its own."""
    agreed = Baseline().with_graph("web/other", graph(ENTER))
    assert through(graph(ENTER), agreed)["reach what was never agreed to"] is True


def test_a_way_to_cluster_admin_is_never_agreed_to() -> None:
    """Neither with a baseline that has its edges nor without one."""
    found = graph(*TO_ADMIN)
    for agreed in (None, Baseline().with_graph("web/shop", found)):
        assert through(found, agreed)["become cluster-admin"] is True
    assert through(graph(ENTER, STEAL), None)["become cluster-admin"] is False


def test_without_a_baseline_no_node_may_be_reached() -> None:
    """Identities and Secrets may, as nobody said how many."""
    assert through(graph(ENTER, STEAL, GETS), None)["reach more than its budget"] is False
    assert through(graph(ENTER, edge("host-write", CONTAINER, NODE)), None)["reach more than 0 nodes"] is True


@pytest.mark.parametrize(
    "found", [graph(ENTER, edge("host-write", CONTAINER, NODE, UNKNOWN)), graph(ENTER, bounds=("120 seconds",))]
)
def test_unknown_is_not_refuted(found: Graph) -> None:
    """Where an edge is unknown or a bound was reached, nothing is said to have failed."""
    said = through(found, Baseline().with_graph("web/shop", graph(ENTER)))
    assert None in said.values()
    assert False not in said.values()


def test_a_canary_must_find_its_way_over_proven_edges() -> None:
    """The positive control fails where the way is inferred, or a kind of edge was not found."""
    assert [True, False] == [succeeded for _, _, succeeded in canary_positives(graph(*TO_ADMIN))]
    assert [False, False] == [succeeded for _, _, succeeded in canary_positives(graph(ENTER))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not valid YAML"),
        ("- a", "must be a mapping, is list"),
        ("budgets: {}", "'budgets' is not one of budget, workloads"),
        ("budget: {pods: 1}", "'pods' is not one of identities, namespaces, secrets, nodes"),
        ("budget: {nodes: -1}", "nodes: -1 is not a number"),
        ("budget: {nodes: true}", "nodes: True is not a number"),
        ("workloads: {web/shop: {edges: x}}", "web/shop: edges: must be a list, is str"),
        ("workloads: {web/shop: {edges: [x]}}", "'x' is not an edge"),
        ("workloads: {web/shop: {edges: ['walk: a -> b']}}", "'walk: a -> b' is not an edge"),
        ("workloads: {web/shop: 1}", "web/shop: must be a mapping, is int"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file and the place, and what fixes it."""
    file = tmp_path / "blast-radius.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        read_baseline(file)
    assert message in error.value.message
    assert str(file) in error.value.message
    assert error.value.fix


def test_a_budget_is_of_one_workload_or_of_all(tmp_path: Path) -> None:
    """A workload's own wins."""
    file = tmp_path / "blast-radius.yaml"
    file.write_text("budget: {secrets: 0}\nworkloads: {web/shop: {budget: {secrets: 1}}}\n")
    agreed = read_baseline(file)
    assert agreed is not None
    assert (Budget(secrets=1), Budget(secrets=0)) == (agreed.budget_of("web/shop"), agreed.budget_of("web/other"))
    assert {"secrets": (2, 1)} == Budget(secrets=1).exceeded(
        {"identities": 9, "namespaces": 9, "secrets": 2, "nodes": 0}
    )


def test_findings_carry_the_evidence_of_the_edge() -> None:
    """A reader sees what was sent, not only a name."""
    agreed = Baseline().with_graph("web/shop", graph(ENTER))
    (new,) = (each for each in findings("web/shop", graph(ENTER, STEAL), agreed) if each.what.startswith("new edge"))
    assert isinstance(new, Attempt)
    assert STEAL.evidence == new.evidence
    assert Vertex(Kind.CONTAINER, "web/shop/shop") == STEAL.source
