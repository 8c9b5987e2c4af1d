"""What a token's holder is shown: all that it may read, and an answer that says nothing is told."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.attack.api_view import pieces_shown
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.probes.identities import Identity

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

BOOTSTRAP = "abcdef.0123456789abcdef"
SECRET = {
    "metadata": {"namespace": "web", "name": "key"},
    "data": {"key": base64.b64encode(BOOTSTRAP.encode()).decode()},
}
CONFIG = {"metadata": {"namespace": "web", "name": "map"}, "data": {"note": BOOTSTRAP}}
SPACE = "/api/v1/namespaces/web"


@dataclass
class FakeApi:
    """An API server with a Secret and a ConfigMap in one namespace."""

    rights: list[dict[str, Any]]
    incomplete: bool = False
    reviewed: int = 201
    answers: dict[str, int] = field(default_factory=dict)
    """By path; 200 where nothing is said."""
    lists: bool = True
    asked: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    """What our administrator read in somebody's stead."""

    def request(self, method: str, path: str, *, token: str | None = None, **more: Any) -> Response:
        """Rights, or what is asked for."""
        if token is None:
            self.read.append(path)
            one = SECRET if "secrets" in path else CONFIG
            return Response(200, {"items": [one]} if path.endswith(("secrets", "configmaps")) else one, 1.0)
        assert token == "token"
        if path.endswith("selfsubjectrulesreviews"):
            told = {"resourceRules": self.rights, "incomplete": self.incomplete}
            return Response(self.reviewed, {"status": told}, 1.0)
        params = more.get("params") or {}
        assert method == "GET" or params["dryRun"] == "All"
        selected = params.get("fieldSelector", "").partition("=")[2]
        verb = "watch" if "watch" in params else {"GET": "", "PATCH": "patch", "DELETE": "delete"}[method]
        self.asked.append(" ".join(filter(None, (verb, path, selected))))
        status = self.answers.get(path, 404 if path.endswith("k8ssec-no-such") else 200)
        if verb:
            return Response(status, {}, 1.0)
        one = SECRET if "secrets" in path else CONFIG
        body = {"items": [one]} if path.endswith(("secrets", "configmaps")) else one
        return Response(status, body if status == 200 else {}, 1.0)

    def list(self, path: str, **_: str) -> list[dict[str, Any]]:
        """What our administrator sees."""
        if not self.lists:
            raise ClusterError("HTTP 500")
        return [SECRET if "secrets" in path else CONFIG]


def may(verb: str, resource: str, *names: str) -> dict[str, Any]:
    """A rule."""
    return {"verbs": [verb], "apiGroups": [""], "resources": [resource], **({"resourceNames": names} if names else {})}


def shown(api: FakeApi) -> tuple[list[str], list[int | None]]:
    """Places of what was found, and the statuses that say nothing."""
    identity = Identity(cast("KubeApi", api), "somebody", "token")
    pieces, unread = pieces_shown(cast("KubeApi", api), identity, ["web"])
    assert BOOTSTRAP not in repr((pieces, unread))
    return [each.place for each in pieces], [each.status for each in unread]


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        ([], []),
        ([may("list", "secrets")], [f"{SPACE}/secrets"]),
        ([may("list", "configmaps"), may("get", "configmaps")], [f"{SPACE}/configmaps"]),
        ([may("get", "secrets")], [f"{SPACE}/secrets/key"]),
        ([may("get", "secrets", "a", "b")], [f"{SPACE}/secrets/a", f"{SPACE}/secrets/b"]),
        ([may("*", "*")], [f"{SPACE}/configmaps", f"{SPACE}/secrets"]),
        ([may("update", "secrets")], []),
        ([may("watch", "secrets")], [f"watch {SPACE}/secrets k8ssec-no-such"]),
        ([may("watch", "secrets", "a")], [f"watch {SPACE}/secrets a"]),
        ([may("list", "secrets", "a")], [f"{SPACE}/secrets a"]),
        ([may("patch", "configmaps")], [f"patch {SPACE}/configmaps/k8ssec-no-such"]),
        ([may("patch", "secrets", "a")], [f"patch {SPACE}/secrets/a"]),
        ([may("deletecollection", "secrets")], [f"delete {SPACE}/secrets k8ssec-no-such"]),
        ([may("deletecollection", "secrets", "a")], []),
    ],
    ids=[
        "none",
        "lists",
        "lists-and-gets",
        "gets",
        "by-name",
        "all",
        "writes",
        "watches",
        "watches-one",
        "lists-one",
        "patches",
        "patches-one",
        "deletes",
        "deletes-one",
    ],
)
def test_all_is_read_that_may_be(rights: list[dict[str, Any]], expected: list[str]) -> None:
    """By the list, or one by one where only that is allowed; nothing else is asked for."""
    api = FakeApi(rights)
    found, unread = shown(api)
    assert (expected, []) == (api.asked, unread)
    assert len(found) == len(expected)
    assert len(api.read) == sum(each.startswith(("watch", "patch", "delete")) for each in expected)


def test_places_name_the_object_and_its_key() -> None:
    """Of a Secret what its base64 holds counts as plain."""
    found, _ = shown(FakeApi([may("*", "*")]))
    assert ["ConfigMap web/map/note", "Secret web/key/key"] == found


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (FakeApi([may("list", "secrets")], answers={f"{SPACE}/secrets": 403}), [403]),
        (FakeApi([may("list", "secrets")], answers={f"{SPACE}/secrets": 500}), [500]),
        (FakeApi([may("watch", "secrets")], answers={f"{SPACE}/secrets": 403}), [403]),
        (FakeApi([may("get", "secrets", "a")], answers={f"{SPACE}/secrets/a": 404}), []),
        (
            FakeApi(
                [],
                incomplete=True,
                answers={
                    f"{SPACE}/{each}{one}": 403 for each in ("secrets", "configmaps") for one in ("", "/k8ssec-no-such")
                },
            ),
            [],
        ),
        (FakeApi([], incomplete=True, answers={f"{SPACE}/secrets": 500}), [500, 500, 500]),
        (FakeApi([], reviewed=500), [500]),
    ],
    ids=[
        "refused-what-it-may",
        "broken",
        "refused-to-watch",
        "gone",
        "refused-what-nobody-listed",
        "incomplete-and-broken",
        "no-rules",
    ],
)
def test_an_answer_that_says_nothing_is_told(api: FakeApi, expected: list[int]) -> None:
    """A right that is listed and not given is odd; one that nobody listed was a question."""
    _, unread = shown(api)
    assert expected == (unread[:1] if api.reviewed == 500 else unread)


def test_names_that_nobody_can_list_break_the_probe() -> None:
    """Who may get any Secret by its name is not known to get none."""
    with pytest.raises(ProbeError):
        shown(FakeApi([may("get", "secrets")], lists=False))
