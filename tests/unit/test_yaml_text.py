"""YAML that others wrote: whatever is wrong with it is one kind of error, and no reader of ours lets another one through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pytest_k8ssec.attack.baseline import read_baseline
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import ClusterError, SettingsError, StackError
from pytest_k8ssec.errors.yaml_text import NotYaml, compose_yaml, load_yaml, load_yaml_documents
from pytest_k8ssec.reach import intent
from pytest_k8ssec.stack.source import read_project

WRONG = {
    "nested": "[" * 5000,
    "day": "budget: {edges: 2027-02-30}",
    "digits": f"budget: {{edges: {'9' * 5000}}}",
    "int": "a: !!int x",
    "float": "a: !!float x",
    "timestamp": "a: !!timestamp x",
    "bool": "a: !!bool 7",
    "python": "a: !!python/object:os.system x",
    "control": "a: \x00",
    "key": "? [a]\n: b",
    "tab": "a:\n\t- b: c",
}
FORMS = {
    "budget": {"edges": 1}, "workloads": {"web/shop": {"edges": []}}, "version": 1, "name": "shop", "runtime": "python",
    "allow": [{"from": "web/shop", "to": "web/api", "reason": "sales", "ports": [80]}],
    "kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{"role": "control-plane"}],
}  # fmt: skip
ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.dates(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6) | some.integers(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
READERS: dict[str, Callable[[Path], object]] = {
    "blast-radius.yaml": read_baseline,
    "intent.yaml": intent.load,
    "kind.yaml": KindConfig.load,
    "Pulumi.yaml": lambda path: read_project(path.parent),
}
"""Of a user's files, by name: those that are read whole."""
TOLD = (SettingsError, ClusterError, StackError)


@pytest.mark.parametrize("read", [load_yaml, load_yaml_documents])
@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_each_mistake_is_one_kind_of_error(read: Callable[[str], object], text: str) -> None:
    """In a line."""
    with pytest.raises(NotYaml) as told:
        read(text)
    assert "\n" not in str(told.value)
    assert told.value.why


def test_no_value_is_quoted() -> None:
    """It may be a secret, of a kubeconfig or of a stack's configuration."""
    with pytest.raises(NotYaml) as told:
        load_yaml("token: !!int hush")
    assert "hush" not in str(told.value)


def test_the_line_is_told_where_it_is_known() -> None:
    """The first is 1; a value that is not what it looks like has none."""
    for text, line in (("a: b\nc: [", 2), ("a: \x00", 0)):
        with pytest.raises(NotYaml) as told:
            compose_yaml(text)
        assert line == told.value.line
    assert compose_yaml("") is None


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_each_file_of_a_users_says_which_one_is_wrong(tmp_path: Path, name: str, text: str) -> None:
    """With what mends it."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TOLD) as told:
        READERS[name](path)
    assert str(path) in told.value.message
    assert told.value.fix


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    some.dictionaries(some.sampled_from([*FORMS, "edgs", ""]), ANYTHING, max_size=4),
    some.sampled_from([*READERS]),
    some.booleans(),
)
def test_whatever_stands_in_a_file_is_read_or_told(tmp_path: Path, changed: Any, name: str, known: bool) -> None:
    """Never by a traceback: no mistake is so odd that nobody makes it."""
    path = tmp_path / name
    whole = {**(FORMS if known else {}), **changed}
    path.write_text(yaml.safe_dump(whole, allow_unicode=True), errors="surrogateescape")
    try:
        READERS[name](path)
    except TOLD as error:
        told = error
    else:
        return
    assert str(path.parent) in told.message
    assert told.fix
