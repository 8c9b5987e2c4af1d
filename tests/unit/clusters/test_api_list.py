"""Long lists come in pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.clusters.api import KubeApi, Response
from tests.unit.clusters.kubeconfigs import NOBODY_ANSWERS


def test_a_list_is_got_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same selection for each page, until the server has no more."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    pages: dict[str, Any] = {
        "": {"items": [1, 2], "metadata": {"continue": "more"}},
        "more": {"items": [3], "metadata": {}},
    }
    asked: list[dict[str, str]] = []

    def request(_: KubeApi, _method: str, _path: str, *, params: dict[str, str]) -> Response:
        asked.append(dict(params))
        return Response(200, pages[params.get("continue", "")], 1.0)

    monkeypatch.setattr(KubeApi, "request", request)
    found: list[Any] = KubeApi(file).list("/api/v1/pods", labelSelector="app=x")
    assert [1, 2, 3] == found
    assert [{"limit": "500", "labelSelector": "app=x"} | more for more in ({}, {"continue": "more"})] == asked
