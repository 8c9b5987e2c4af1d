"""What Pulumi's type tokens say: ``kubernetes:apps/v1:Deployment`` is an object, ``kubernetes:helm.sh/v4:Chart`` is none."""

from __future__ import annotations

from typing import Final

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
"""One resource to Pulumi; its objects are Helm's."""
MAKES_NAMESPACE: Final = "createNamespace"
"""The property of a Release by which Helm makes its namespace, which no record of Helm's lists."""
_COMPONENTS: Final = {"helm.sh/v2", "helm.sh/v3", "helm.sh/v4", "yaml", "yaml/v2", "kustomize", "kustomize/v2"}
_PATCH: Final = "Patch"


def is_object_type(type_: str) -> bool:
    """Whether resources of a type are objects in the cluster: no components, charts or providers."""
    parts = type_.split(":")
    return len(parts) == 3 and parts[0] == "kubernetes" and parts[1] not in _COMPONENTS


def is_progress(type_: str) -> bool:
    """Whether a deployment's progress counts resources of a type: those that it waits for, and not what groups them."""
    return is_object_type(type_) or type_ == RELEASE


def is_patch_type(type_: str) -> bool:
    """Whether a type changes an object that something else has made, such as ``kubernetes:core/v1:NamespacePatch``.

    Of kinds that are not Kubernetes' own this can't be told: one may be called so.

    Source: https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/
    """
    if not is_object_type(type_):
        return False
    return is_own_group(api_version_of_type(type_).rpartition("/")[0]) and type_.endswith(_PATCH)


def is_own_group(group: str) -> bool:
    """Whether an API group (``apps``, "" for the core) is one of Kubernetes' own, and no custom resources' one."""
    return "." not in group or group.endswith(".k8s.io")


def kind_of_type(type_: str) -> str:
    """The kind of the objects: ``Namespace`` for ``kubernetes:core/v1:NamespacePatch`` too; "" where they are none."""
    if not is_object_type(type_):
        return ""
    kind = type_.rsplit(":", 1)[-1]
    return kind.removesuffix(_PATCH) if is_patch_type(type_) else kind


def api_version_of_type(type_: str) -> str:
    """``v1``, ``apps/v1``."""
    return type_.split(":")[1].removeprefix("core/")


def type_of(api_version: str, kind: str) -> str:
    """The type token of an object: ``v1`` and ``Secret`` give ``kubernetes:core/v1:Secret``."""
    return f"kubernetes:{api_version if '/' in api_version else f'core/{api_version}'}:{kind}"
