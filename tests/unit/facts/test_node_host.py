"""What a type checker is told of testinfra's hosts is what testinfra has."""

from __future__ import annotations

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host
from testinfra.modules import get_module_class

from pytest_k8ssec.facts.node_host import NodeCommand, NodeFile, NodeHost, NodeService, NodeSocket

_OF_THE_HOST_ITSELF = {"run", "check_output", "exists"}


def members(of: type) -> set[str]:
    """The public members that a protocol says there are."""
    return {name for name in vars(of) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("told", "real"),
    [
        (NodeFile, get_module_class("file")),
        (NodeService, get_module_class("service")),
        (NodeSocket, get_module_class("socket")),
        (NodeCommand, CommandResult),
    ],
)
def test_testinfra_has_what_it_is_said_to_have(told: type, real: type) -> None:
    """Under the same names."""
    assert members(told)
    assert members(told) <= set(dir(real))


def test_a_host_has_the_modules_that_it_is_said_to_have() -> None:
    """Some are methods of testinfra's Host, each other one is a module of its own."""
    assert set(dir(Host)) >= _OF_THE_HOST_ITSELF
    modules = members(NodeHost) - _OF_THE_HOST_ITSELF
    assert {"File", "Service", "Socket", "Sysctl"} == {get_module_class(name).__name__ for name in modules}
