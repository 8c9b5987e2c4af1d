"""In which line of a kind configuration a setting of the cluster stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from pytest_k8ssec.errors.yaml_text import NotYaml, compose_yaml_documents

_NODE = yaml.Node


def line_of(path: Path, key: str) -> str:
    """``/path/kind.yaml:line`` of the last place that sets a key, in kubeadm's patches or beside them; the file where none does.

    Args:
        key: a flag's or a field's own name, such as ``anonymous-auth``.
    """
    lines = [line for name, line in _keys(path.read_text(encoding="utf-8"), 1) if name == key]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _keys(text: str, first: int) -> Iterator[tuple[str, int]]:
    """Each key of a text, and in texts within it, with the line that it is in."""
    try:
        documents = compose_yaml_documents(text)
    except NotYaml:  # a text that is no YAML has no keys
        return
    for document in documents:
        yield from _below(document, first)


def _below(node: _NODE, first: int) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), first + key.start_mark.line
            if key.value == "name" and isinstance(value, yaml.ScalarNode):  # extraArgs as a list: name and value
                yield str(value.value), first + value.start_mark.line
            yield from _below(value, first)
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _below(one, first)
    elif isinstance(node, yaml.ScalarNode) and node.style == "|":
        yield from _keys(str(node.value), first + node.start_mark.line + 1)
