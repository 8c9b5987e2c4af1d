"""Deploys a Pulumi stack to a cluster, and shows it to tests. Pulumi itself is imported in a child process only.

More than twelve files: one deployment, on both sides of a process boundary, one step in each file.
"""

from pytest_k8ssec.secrecy.find import SAMPLE, Leak, leaks
from pytest_k8ssec.stack.deploy import deploy, read_stack
from pytest_k8ssec.stack.live_pods import pods_of
from pytest_k8ssec.stack.model import API_CLIENT, Secret, ServiceAccount, Stack, Workload
from pytest_k8ssec.stack.resource import ObjectOrigin, Resource
from pytest_k8ssec.stack.source import (
    Prepared,
    Project,
    StackSource,
    config_values,
    is_encrypted,
    prepare,
    read_project,
)
from pytest_k8ssec.stack.worker import EarlyChild
from pytest_k8ssec.stack.workspace import Engine, Workspace

__all__ = [
    "API_CLIENT",
    "SAMPLE",
    "EarlyChild",
    "Engine",
    "Leak",
    "ObjectOrigin",
    "Prepared",
    "Project",
    "Resource",
    "Secret",
    "ServiceAccount",
    "Stack",
    "StackSource",
    "Workload",
    "Workspace",
    "config_values",
    "deploy",
    "is_encrypted",
    "leaks",
    "pods_of",
    "prepare",
    "read_project",
    "read_stack",
]
