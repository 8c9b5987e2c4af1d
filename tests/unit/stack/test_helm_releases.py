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
from pytest_k8ssec.stack.helm_releases import with_release_objects
from pytest_k8ssec.stack.model import Resource
from pytest_k8ssec.stack.types import RELEASE, is_patch_type, is_progress, kind_of_type

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


def _seen(name: str, *secrets: dict[str, Any], status: int = 200, hook: int = 200) -> list[str]:
    """Each object, as text."""

    def path(version: str, kind: str, namespace: str = "", name: str = "") -> str:
        if kind == "Unserved":
            raise ClusterError(f"{kind}: the API server does not serve it")
        return f"/{version}/{kind}/{name}" if kind == "ClusterRole" else f"/namespaces/{namespace}/{kind}/{name}"

    def request(_: str, path: str, **__: Any) -> Any:
        if "/Secret/" in path:
            return SimpleNamespace(status=status, body={"items": list(secrets)})
        return SimpleNamespace(status=404 if "gone" in path else hook, body={})

    api = cast("KubeApi", SimpleNamespace(path=path, request=request))
    release = Resource(_URN, RELEASE, name, "web")
    found = with_release_objects([release], api)
    assert {one.urn for one in found} == {_URN}
    return [str(one) for one in found if one.is_object]


def test_a_releases_objects_are_those_in_force() -> None:
    """The newest deployed revision's, lists taken apart, and what of its hooks is still there."""
    old, failed = _secret("shop", 1, "", "superseded"), _secret("shop", 3, "", "failed")
    assert _seen("shop", old, _secret("shop", 2, _MANIFEST), failed) == [
        "ServiceAccount web/worker",
        "ClusterRole reader",
        "ConfigMap other/listed",
        "ConfigMap web/hook-left",
    ]


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
