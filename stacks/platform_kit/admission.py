"""Rules that the API server itself enforces on everything that gets into the teams' namespaces."""

from __future__ import annotations

import json

import pulumi_kubernetes as k8s
from pulumi_kubernetes.admissionregistration.v1 import (
    MatchResourcesArgs,
    NamedRuleWithOperationsArgs,
    ValidatingAdmissionPolicySpecArgs,
    ValidationArgs,
    VariableArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs

from platform_kit.team import TEAM


def allow_registries(registries: tuple[str, ...]) -> None:
    """Refuse pods whose image comes from anywhere but these registries or repositories."""
    allowed = json.dumps(registries)
    k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
        "allowed-registries",
        metadata={"name": "allowed-registries"},
        spec=ValidatingAdmissionPolicySpecArgs(
            failure_policy="Fail",
            match_constraints=_in_teams(["pods", "pods/ephemeralcontainers"], ["CREATE", "UPDATE"]),
            variables=[
                VariableArgs(
                    name="images",
                    expression="(object.spec.containers + object.spec.?initContainers.orValue([])).map(c, c.image)"
                    " + object.spec.?ephemeralContainers.orValue([]).map(c, c.image)",
                )
            ],
            validations=[
                ValidationArgs(
                    # Whatever follows the name must be a path, a tag or a digest: not the rest of a longer name.
                    expression=f"variables.images.all(image, {allowed}.exists(name, image == name"
                    " || ['/', ':', '@'].exists(next, image.startsWith(name + next))))",
                    reason="Forbidden",
                    message=f"images must come from {', '.join(registries)}",
                )
            ],
        ),
    )
    k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        "allowed-registries",
        metadata={"name": "allowed-registries"},
        spec={"policy_name": "allowed-registries", "validation_actions": ["Deny"]},
    )


def _in_teams(resources: list[str], operations: list[str]) -> MatchResourcesArgs:
    """Operations on these resources of the core API, in the teams' namespaces."""
    return MatchResourcesArgs(
        namespace_selector=LabelSelectorArgs(
            match_expressions=[LabelSelectorRequirementArgs(key=TEAM, operator="Exists")]
        ),
        resource_rules=[
            NamedRuleWithOperationsArgs(
                api_groups=[""], api_versions=["v1"], operations=operations, resources=resources
            )
        ],
    )
