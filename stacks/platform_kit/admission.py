"""Rules that the API server itself enforces on everything that gets into the teams' namespaces."""

from __future__ import annotations

import asyncio
import json

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.admissionregistration.v1 import (
    ApplyConfigurationArgs,
    MatchConditionArgs,
    MatchResourcesArgs,
    MutatingAdmissionPolicySpecArgs,
    MutationArgs,
    NamedRuleWithOperationsArgs,
    ValidatingAdmissionPolicySpecArgs,
    ValidationArgs,
    VariableArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs

from platform_kit.team import TEAM

_PROPAGATION = 3.0
"""Seconds: the API server looks for new policies once a second, and may be busy."""


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


def default_accounts_without_token() -> pulumi.Output[list[pulumi.Resource]]:
    """Create the ``default`` service account of each team's namespace without token automount.

    Kubernetes makes that account by itself as soon as there is a namespace, so it is changed on its way in.

    Returns:
        What a namespace must depend on, so that the policy is in force before its account is made.
    """
    policy = k8s.admissionregistration.v1.MutatingAdmissionPolicy(
        "default-account-without-token",
        metadata={"name": "default-account-without-token"},
        spec=MutatingAdmissionPolicySpecArgs(
            failure_policy="Fail",
            reinvocation_policy="Never",
            match_constraints=_in_teams(["serviceaccounts"], ["CREATE"]),
            match_conditions=[
                MatchConditionArgs(name="default-account", expression="object.metadata.name == 'default'")
            ],
            mutations=[
                MutationArgs(
                    patch_type="ApplyConfiguration",
                    apply_configuration=ApplyConfigurationArgs(
                        expression="Object{automountServiceAccountToken: false}"
                    ),
                )
            ],
        ),
    )
    binding = k8s.admissionregistration.v1.MutatingAdmissionPolicyBinding(
        "default-account-without-token",
        metadata={"name": "default-account-without-token"},
        spec={"policy_name": "default-account-without-token"},
    )

    async def in_force(_: list[str]) -> list[pulumi.Resource]:
        if not pulumi.runtime.is_dry_run():
            await asyncio.sleep(_PROPAGATION)
        return [policy, binding]

    # The URNs are known once both objects were created.
    return pulumi.Output.all(policy.urn, binding.urn).apply(in_force)


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
