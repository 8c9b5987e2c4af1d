"""A container's environment, as its kubelet would put it together."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.facts.variables import contents, variables_of

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

SECRET = {"kind": "Secret", "data": {"key": base64.b64encode(b"\xffvalue").decode()}}
CONFIG = {"kind": "ConfigMap", "data": {"a": "1"}, "binaryData": {"b": base64.b64encode(b"2").decode()}}


@dataclass
class FakeApi:
    """An API server with one Secret and one ConfigMap."""

    status: int = 200
    asked: list[str] = field(default_factory=list)

    def request(self, _method: str, path: str, **_: object) -> Response:
        """One of them."""
        self.asked.append(path)
        body = {"secrets/key": SECRET, "configmaps/map": CONFIG}.get("/".join(path.split("/")[-2:]))
        return (
            Response(404, {}, 1.0) if body is None else Response(self.status, body if self.status == 200 else {}, 1.0)
        )


def of(api: FakeApi, **container: Any) -> Any:
    """The variables of a container in namespace web."""
    return variables_of(cast("KubeApi", api), "web", container)


ENV = [
    {"name": "PLAIN", "value": "x"},
    {"name": "EMPTY"},
    {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}},
    {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "b"}}},
    {"name": "GONE", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "key", "optional": True}}},
]
FROM = [{"prefix": "P_", "configMapRef": {"name": "map"}}, {"secretRef": {"name": "key"}}]


def test_values_come_from_where_they_are() -> None:
    """The spec, Secrets, ConfigMaps, whole ones too; what is not there is empty."""
    found = of(FakeApi(), env=ENV, envFrom=FROM)
    assert {
        "P_a": b"1", "P_b": b"2", "key": b"\xffvalue", "PLAIN": b"x", "EMPTY": b"", "FIELD": b"", "KEY": b"\xffvalue",
        "MAP": b"2", "GONE": b"",
    } == found.values  # fmt: skip
    assert () == found.unread
    assert "value" not in repr(found)


def test_a_variable_of_its_own_wins() -> None:
    """Over one of the same name of a whole ConfigMap."""
    assert {"a": b"own", "b": b"2"} == of(
        FakeApi(), env=[{"name": "a", "value": "own"}], envFrom=[{"configMapRef": {"name": "map"}}]
    ).values


@pytest.mark.parametrize("status", [403, 500])
def test_what_nobody_may_read_is_told(status: int) -> None:
    """Once each."""
    assert ("configmaps web/map", "secrets web/key") == of(FakeApi(status), env=ENV, envFrom=FROM).unread


def test_contents_of_objects() -> None:
    """A Secret's are in base64, and a ConfigMap's mostly not."""
    assert {"key": b"\xffvalue"} == contents(SECRET)
    assert {"a": b"1", "b": b"2"} == contents(CONFIG)
    assert {} == contents({"kind": "Secret"})
