"""Deploys a Pulumi stack to a cluster, and shows it to tests. Pulumi itself is imported in a child process only.

More than twelve files: one deployment, on both sides of a process boundary, one step in each file.
"""

from pytest_k8ssec.secrecy.find import SAMPLE, Leak, leaks
from pytest_k8ssec.stack.deploy import deploy, read_stack
from pytest_k8ssec.stack.live_pods import pods_of
from pytest_k8ssec.stack.model import API_CLIENT, Resource, Secret, ServiceAccount, Stack, Workload
from pytest_k8ssec.stack.source import Prepared, Project, StackSource, prepare
from pytest_k8ssec.stack.worker import EarlyChild
from pytest_k8ssec.stack.workspace import Engine, Workspace

__all__ = [
    "API_CLIENT",
    "SAMPLE",
    "EarlyChild",
    "Engine",
    "Leak",
    "Prepared",
    "Project",
    "Resource",
    "Secret",
    "ServiceAccount",
    "Stack",
    "StackSource",
    "Workload",
    "Workspace",
    "deploy",
    "leaks",
    "pods_of",
    "prepare",
    "read_stack",
]
