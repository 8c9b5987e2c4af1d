"""A broker as its chart has it: what the chart's author left open is open here as well."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
namespace = k8s.core.v1.Namespace(
    "queue", metadata={"name": "queue", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}
)
k8s.helm.v3.Release(
    "broker",
    name="broker",
    chart=str(Path(__file__).parent / "chart"),
    namespace="queue",
    values={"image": config.require("image"), "auth": {"password": config.require_secret("password")}},
    opts=pulumi.ResourceOptions(depends_on=[namespace]),
)
