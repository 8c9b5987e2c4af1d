"""What a Helm Release made is read from Helm's own record; one that can't be read makes nothing up."""

from __future__ import annotations

import base64
import gzip
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.stack.found.helm_releases import tell_unseen, with_release_objects
from pytest_k8ssec.stack.resource import Resource
from pytest_k8ssec.stack.types import RELEASE, is_patch_type, is_progress, kind_of_type
from pytest_k8ssec.verdict import Judge, Verdict

_URN = "urn:pulumi:dev::shop::kubernetes:helm.sh/v3:Release::shop"
_MANIFEST = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: worker, annotations: {k8ssec.dev/api-client: reads}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
---
apiVersion: v1
kind: List
items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: listed, namespace: other}}]
"""
_HOOK = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def _secret(name: str, version: int, manifest: str, status: str = "deployed") -> dict[str, Any]:
    hooks = [{"manifest": _HOOK % "hook-left"}, {"manifest": _HOOK % "hook-gone"}]
    record = {"name": name, "namespace": "web", "manifest": manifest, "hooks": hooks}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(record).encode()))).decode()
    labels = {"owner": "helm", "name": name, "status": status, "version": str(version)}
    return {"metadata": {"labels": labels}, "data": {"release": packed}}


def _seen(name: str, *secrets: dict[str, Any], status: int = 200, hook: int = 200, id_: str = "") -> list[str]:
    """Each object, as text."""
    return list(_origins(name, *secrets, status=status, hook=hook, id_=id_))


def _origins(name: str, *secrets: dict[str, Any], status: int = 200, hook: int = 200, id_: str = "") -> dict[str, str]:
    """Each object, as text, to how it came."""

    def path(version: str, kind: str, namespace: str = "", name: str = "") -> str:
        if kind == "Unserved":
            raise ClusterError(f"{kind}: the API server does not serve it")
        return f"/{version}/{kind}/{name}" if kind == "ClusterRole" else f"/namespaces/{namespace}/{kind}/{name}"

    def request(_: str, path: str, **__: Any) -> Any:
        if "/Secret/" in path:
            return SimpleNamespace(status=status, body={"items": list(secrets)})
        return SimpleNamespace(status=404 if "gone" in path else hook, body={})

    api = cast("KubeApi", SimpleNamespace(path=path, request=request))
    release = Resource(_URN, RELEASE, name, "web", id_)
    found = with_release_objects([release], api)
    assert {one.urn for one in found} == {_URN}
    return {str(one): str(one.origin) for one in found if one.is_object}


def test_a_releases_objects_are_those_in_force() -> None:
    """The newest deployed revision's, lists taken apart, and what of its hooks is still there."""
    old, failed = _secret("shop", 1, "", "superseded"), _secret("shop", 3, "", "failed")
    assert _seen("shop", old, _secret("shop", 2, _MANIFEST), failed) == [
        "ServiceAccount web/worker",
        "ClusterRole reader",
        "ConfigMap other/listed",
        "ConfigMap web/hook-left",
    ]


@pytest.mark.parametrize("status", ["failed", "pending-upgrade", "pending-rollback"])
def test_what_a_revision_that_broke_off_left_counts_too(status: str) -> None:
    """What it made is still there, and Helm takes nothing back; what it did not come to make is not there."""
    more = _HOOK % "left" + "---\n" + _HOOK % "gone" + "---\n" + _HOOK % "hook-left"
    in_force, broken = _secret("shop", 2, _MANIFEST), _secret("shop", 3, more, status)
    assert _seen("shop", in_force, broken)[-2:] == ["ConfigMap web/hook-left", "ConfigMap web/left"]
    older = _secret("shop", 1, more, status)
    assert "ConfigMap web/left" in _seen("shop", older, in_force)
    assert not _seen("shop", in_force, _secret("shop", 3, "---\nkind: ConfigMap\n", status)), (
        "it may have made anything"
    )


def test_of_a_release_that_never_came_to_be_only_what_is_there_counts() -> None:
    """Its first install failed: what the record lists need not be there."""
    record = _HOOK % "left" + "---\n" + _HOOK % "gone"
    assert _seen("shop", _secret("shop", 1, record, "failed")) == ["ConfigMap web/left", "ConfigMap web/hook-left"]


def test_objects_say_whether_a_hook_made_them() -> None:
    """A hook's objects are nobody's any more once it has run."""
    assert _origins("shop", _secret("shop", 1, _HOOK % "a")) == {
        "ConfigMap web/a": "of a Helm Release",
        "ConfigMap web/hook-left": "of a Helm hook",
    }


def test_a_name_that_the_program_gave_is_no_invented_one() -> None:
    """Another Release whose name is like an invented one is somebody else's; nor is one meant whose name is known by now."""
    theirs = _secret("shop-11111111", 1, _MANIFEST)
    assert not _seen("shop", theirs)
    assert not _seen("shop-web", theirs)
    assert _seen("shop-0a0a0a0a", theirs)
    assert not _seen("shop-0a0a0a0a", theirs, id_="web/shop-0a0a0a0a")


def test_a_namespace_that_a_release_makes_is_no_record_of_it() -> None:
    """It is declared; what the Release made in it is still unseen."""
    release = Resource(_URN, RELEASE, "shop", "web")
    space = Resource(_URN, "kubernetes:core/v1:Namespace", "web")
    judge = Judge()
    tell_unseen(judge, Stack("dev", "shop", {}, (release, space), True, 1.0, cast("KubeApi", None)), {})
    assert judge.verdict()[0] is Verdict.INCONCLUSIVE
    assert "what Release shop made" in judge.verdict()[1]


@pytest.mark.parametrize(
    ("there", "seen"), [(("shop-11111111",), True), (("shop-11111111", "shop-22222222"), False), (("shop-web",), False)]
)
def test_a_preview_invents_another_name(there: tuple[str, ...], seen: bool) -> None:
    """The one that fits is taken; where several do, none is."""
    assert bool(_seen("shop-0a0a0a0a", *(_secret(name, 1, _MANIFEST) for name in there))) is seen


def test_what_cannot_be_read_is_not_made_up() -> None:
    """No right to read Secrets, or a record that is none."""
    assert not _seen("shop", status=403)
    assert not _seen("shop", {**_secret("shop", 1, ""), "data": {"release": "bm8="}})


@pytest.mark.parametrize(
    "more",
    [
        "---\nkey:\tvalue\n",
        "---\nday: 2024-02-30\n",
        "---\nkind: ConfigMap\n",
        "---\njust words\n",
        "---\nkind: ConfigMap\napiVersion: v1\nmetadata: {generateName: a-}\n",
        "---\nkind: Unserved\napiVersion: v1\nmetadata: {name: a}\n",
        "---\nkind: List\napiVersion: v1\nitems: [7]\n",
    ],
)
def test_a_release_that_is_read_in_part_is_not_read(more: str) -> None:
    """Else what the rest made would be missed, and the verdict held."""
    assert not _seen("shop", _secret("shop", 1, _MANIFEST + more))


def test_a_hook_that_nobody_may_look_at_is_not_gone() -> None:
    """Only a 404 says so."""
    assert _seen("shop", _secret("shop", 1, _MANIFEST))
    assert not _seen("shop", _secret("shop", 1, _MANIFEST), hook=403)
    assert not _seen("shop", _secret("shop", 1, _MANIFEST), hook=503)


def test_items_of_a_typed_list_need_not_say_their_kind() -> None:
    """As Helm itself reads them, also where lists are in lists."""
    typed = "kind: RoleBindingList\napiVersion: rbac.authorization.k8s.io/v1\nitems: [{metadata: {name: a}}]"
    nested = "\n---\nkind: List\napiVersion: v1\nitems: [{kind: ConfigMapList, apiVersion: v1, items: [{metadata: {name: b}}]}]"
    assert ["RoleBinding web/a", "ConfigMap web/b", "ConfigMap web/hook-left"] == _seen(
        "shop", _secret("shop", 1, typed + nested)
    )


@pytest.mark.parametrize(
    ("type_", "kind", "patch", "counts"),
    [
        ("kubernetes:core/v1:NamespacePatch", "Namespace", True, True),
        ("kubernetes:rbac.authorization.k8s.io/v1:RolePatch", "Role", True, True),
        ("kubernetes:redhatcop.redhat.io/v1alpha1:Patch", "Patch", False, True),
        ("kubernetes:apps/v1:Deployment", "Deployment", False, True),
        ("kubernetes:helm.sh/v4:Chart", "", False, False),
        ("kubernetes:kustomize/v2:Directory", "", False, False),
        (RELEASE, "", False, True),
        ("shop:index:Part", "", False, False),
    ],
)
def test_types_say_what_resources_are(type_: str, kind: str, patch: bool, counts: bool) -> None:
    """A patch is of the kind that it changes, and progress counts no components."""
    assert (kind_of_type(type_), is_patch_type(type_), is_progress(type_)) == (kind, patch, counts)
