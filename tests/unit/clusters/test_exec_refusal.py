"""What is told of an exec that was refused."""

from __future__ import annotations

import pytest
from kubernetes.client import ApiException

from pytest_k8ssec.clusters.api import _said


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ('Handshake status 403 Forbidden -+-+- {"a": "b"} -+-+- {"message": "pods is forbidden"}', "pods is forbidden"),
        ("Handshake status 500 Internal Server Error -+-+- {} -+-+- error dialing backend", "error dialing backend"),
        ("Handshake status 500 Internal Server Error -+-+- {} -+-+- [1]", "[1]"),
        ("[Errno 111] Connection refused", "Connection refused"),
    ],
)
def test_the_servers_own_words_are_told_and_headers_are_not(reason: str, told: str) -> None:
    """They say why: without them a 403 of RBAC and a kubelet that is not there look alike."""
    said = _said(ApiException(status=0, reason=reason))
    assert said.endswith(told)
    assert "{" not in said
