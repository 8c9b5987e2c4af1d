"""One of each way in which a program gets objects into a cluster, beside declaring them one by one."""

import json
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

HERE = Path(__file__).parent
image = pulumi.Config().require("image")
namespace = k8s.core.v1.Namespace("kinds", metadata={"name": "kinds"})
inside = pulumi.ResourceOptions(depends_on=[namespace])


class Team(pulumi.ComponentResource):
    """A component of the program's own."""

    def __init__(self, name: str) -> None:
        super().__init__("kinds:index:Team", name, None, inside)
        mine = pulumi.ResourceOptions(parent=self)
        k8s.core.v1.ConfigMap(name, metadata={"name": name, "namespace": "kinds"}, data={"team": name}, opts=mine)


Team("from-component")
k8s.core.v1.ServiceAccountPatch(
    "default-account",
    metadata={"name": "default", "namespace": "kinds"},
    automount_service_account_token=False,
    opts=inside,
)
k8s.core.v1.NamespacePatch("labels", metadata={"name": "kinds", "labels": {"patched": "true"}}, opts=inside)
manifest = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "from-yaml", "namespace": "kinds"},
    "data": {"a": "b"},
}
k8s.yaml.v2.ConfigGroup("group", yaml=json.dumps(manifest), opts=inside)
k8s.kustomize.v2.Directory("directory", directory=str(HERE / "kustomize"), opts=inside)
k8s.helm.v4.Chart("from-chart", chart=str(HERE / "chart"), namespace="kinds", values={"image": image}, opts=inside)
k8s.helm.v3.Release("from-release", chart=str(HERE / "chart"), namespace="kinds", values={"image": image}, opts=inside)
