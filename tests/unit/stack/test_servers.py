"""A provider that does not demonstrably talk to the cluster under test is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_k8ssec.errors import StackError
from pytest_k8ssec.stack.servers import refuse_elsewhere

_URN = "urn:pulumi:dev::shop::pulumi:providers:kubernetes::prod"
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def _config(server: str, context: str = "test") -> dict[str, Any]:
    return {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}, {"name": "d", "cluster": {"server": "https://d"}}],
        "users": [{"name": "u", "user": {"token": "hush"}}],
    }


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """The kubeconfig of the cluster under test."""
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(_config("https://127.0.0.1:4321")))
    return path


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"namespace": "web"},
        {"context": "test"},
        {"kubeconfig": yaml.safe_dump(_config("https://127.0.0.1:4321/", "other"))},
        {"kubeconfig": json.dumps(_config("https://127.0.0.1:4321"))},
        {"kubeconfig": "kubeconfig"},
    ],
)
def test_a_provider_of_the_cluster_under_test_is_accepted(kubeconfig: Path, inputs: dict[str, Any]) -> None:
    """By the environment, by a context, by contents or by a path: what counts is the server."""
    refuse_elsewhere(_URN, inputs, kubeconfig, kubeconfig.parent)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"kubeconfig": yaml.safe_dump(_config("https://prod.example.com"))}, "https://prod.example.com:443"),
        ({"kubeconfig": json.dumps(_config("https://127.0.0.1:9"))}, "https://127.0.0.1:9"),
        ({"cluster": "d"}, "https://d:443"),
        ({"context": "prod"}, 'no "prod" among its contexts'),
        ({"kubeconfig": _UNKNOWN}, "known only after something was created"),
        ({"kubeconfig": {"clusters": _UNKNOWN}}, "known only after something was created"),
        ({"kubeconfig": "[secret]"}, "is secret"),
        ({"kubeconfig": "nowhere.yaml"}, "No such file"),
        ({"kubeconfig": "token: hush: : ["}, "not valid YAML"),
        ({"kubeconfig": "token: !!int hush"}, "not valid YAML"),
        ({"kubeconfig": "{}"}, "it can't be told which server"),
        ({"kubeconfig": ""}, "it can't be told which server"),
        ({"renderYamlToDirectory": "out"}, "writes YAML files"),
    ],
)
def test_any_other_provider_is_refused(kubeconfig: Path, inputs: dict[str, Any], why: str) -> None:
    """The error names the provider, why, and the server of the cluster under test; never what a kubeconfig holds."""
    with pytest.raises(StackError, match=why.replace("[", r"\[")) as caught:
        refuse_elsewhere(_URN, inputs, kubeconfig, kubeconfig.parent)
    assert _URN in caught.value.message
    assert "https://127.0.0.1:4321" in caught.value.message
    assert "hush" not in str(caught.value)
