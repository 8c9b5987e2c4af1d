"""What a report says of a testbed; only what is known without a request."""

from __future__ import annotations

from typing import Any

from pytest_k8ssec.settings import Settings
from pytest_k8ssec.testbed.testbed import Testbed


def describe_testbed(testbed: Testbed, settings: Settings) -> dict[str, Any]:
    """The cluster, the stack, the versions, and how much of the reachability was measured."""
    about: dict[str, Any] = {"versions": {}}
    if testbed.has_cluster:
        cluster = testbed.cluster
        about["cluster"] = {
            "name": cluster.name,
            "origin": cluster.origin,
            "ephemeral": cluster.ours,
            "nodes": [node.name for node in cluster.__dict__.get("nodes", ())],
        }
        if "version" in cluster.__dict__:
            about["versions"]["kubernetes-server"] = cluster.version
    if testbed.has_stack:
        stack = testbed.stack
        about["stack"] = {
            "name": stack.name,
            "project": stack.project,
            "deployed": stack.deployed,
            "seconds": round(stack.seconds, 1),
            "resources": len(stack.resources),
            "namespaces": list(stack.namespaces),
            "providers": dict(stack.providers),
            "providers_unused": [name for name in settings.allow_provider if name not in stack.providers],
        }
    if testbed.reachability:
        about["reachability"] = dict(testbed.reachability)
        about["reach"] = dict(testbed.reach_maps)
    return about
