"""Objects made by Helm Releases, which Pulumi does not list."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.stack.model import Stack
from pytest_k8ssec.verdict import Judge

_HERE = Source("client", "this process")


def tell_unseen(judge: Judge, stack: Stack, allowed: Mapping[str, str]) -> None:
    """Keep a verdict on the stack from being held while nobody has looked at what its Helm Releases made.

    A Release is one resource to Pulumi; its objects are Helm's. The objects of a Chart are resources, and are judged.

    Args:
        allowed: ``Release NAME`` to the reason why its objects need not be judged.

    Source: https://www.pulumi.com/registry/packages/kubernetes/api-docs/helm/v3/release/
    """
    for release in stack.releases:
        subject = f"Release {release.name}"
        if subject in allowed:
            judge.note(f"what {subject} made is not judged: {allowed[subject]}")
            continue
        why = "its objects are Helm's, not resources of the stack: use helm.sh/v4:Chart, or declare it with a reason"
        nothing = Evidence(_HERE, f"look for objects of {release.urn}", Outcome.ERROR, why)
        case = judge.case(f"what {subject} made")
        case.positive("it is known", nothing, succeeded=None)
        case.attack("attack it", nothing, through=None)
