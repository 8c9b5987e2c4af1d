"""A shop that nobody has thought about: what Kubernetes does with a workload where no word is said about security.

There is no mistake in it, as there are in ../insecure: nothing is opened, granted or switched off. What is breached here
is breached by default. docs/explanation/default-kind.md is measured with it.
"""

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    HTTPGetActionArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ServicePortArgs,
    ServiceSpecArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

LABELS = {"app.kubernetes.io/name": "shop"}
PORT = 8080

namespace = k8s.core.v1.Namespace("shop", metadata=ObjectMetaArgs(name="shop"))
inside = pulumi.ResourceOptions(depends_on=[namespace])
metadata = ObjectMetaArgs(name="shop", namespace="shop")

shop = ContainerArgs(
    name="shop",
    image=pulumi.Config().require("image"),
    image_pull_policy="IfNotPresent",
    command=["python3", "-m", "http.server", str(PORT)],
    ports=[ContainerPortArgs(container_port=PORT)],
    readiness_probe=ProbeArgs(http_get=HTTPGetActionArgs(path="/", port=PORT), period_seconds=1),
)
k8s.apps.v1.Deployment(
    "shop",
    metadata=metadata,
    spec=k8s.apps.v1.DeploymentSpecArgs(
        selector=LabelSelectorArgs(match_labels=LABELS),
        template=PodTemplateSpecArgs(metadata=ObjectMetaArgs(labels=LABELS), spec=PodSpecArgs(containers=[shop])),
    ),
    opts=inside,
)
k8s.core.v1.Service(
    "shop", metadata=metadata, spec=ServiceSpecArgs(selector=LABELS, ports=[ServicePortArgs(port=PORT)]), opts=inside
)
