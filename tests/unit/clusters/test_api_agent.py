"""What this package writes, it writes under its own name: so it is never taken for what a stack has brought."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_k8ssec.clusters.api import FIELD_MANAGER, KubeApi
from tests.unit.clusters.kubeconfigs import NOBODY_ANSWERS


@pytest.mark.parametrize("token", [None, "", "a-token"])
def test_each_request_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """With whatever credentials; a control that marks a request keeps its mark."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    sent: list[dict[str, str]] = []

    def request(_: object, _method: str, _url: str, *, headers: dict[str, str], **__: Any) -> Any:
        sent.append(headers)
        return SimpleNamespace(status=201, data=b'{"metadata": {"name": "a", "uid": "its-uid"}}')

    monkeypatch.setattr("urllib3.PoolManager.request", request)
    api = KubeApi(file)
    api.request("POST", "/api/v1/namespaces", token=token, params={"dryRun": "All"})
    assert not api.created, "nothing came to be"
    api.request("POST", "/api/v1/namespaces", token=token)
    assert api.created == {"its-uid"}
    api.request("GET", "/version", token=token, headers={"User-Agent": "marked"})
    assert [each["User-Agent"] for each in sent] == [FIELD_MANAGER, FIELD_MANAGER, "marked"]
