"""How careful a platform is: all that differs between stacks/hardened and stacks/insecure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Posture:
    """One field for each difference."""

    pod_security: str
    """Pod Security level that each namespace enforces; "" enforces none, and containers then ask for no less."""
    network_policies: bool
    """Deny all traffic of each namespace, both ways, but what a workload's own policy names."""
    admission_policies: bool
    """Refuse images of foreign registries."""
    quotas: bool
    """Bound what a team, and each of its containers, may take."""
    token_automount: bool
    """Whether pods get a token of the Kubernetes API without having asked for one."""
    reporter_is_admin: bool
    """Whether the reporter may do everything in the cluster, instead of reading one ConfigMap."""
    key_in_plain_variable: bool
    """Whether the payments key stands in the pod template, instead of a Secret that is mounted as a file."""
    anonymous_may_view: bool
    """Whether everybody without credentials may look at the cluster: a status page asked for it once."""
    shop_on_every_node: bool
    """Open the storefront by a port of every node, instead of leaving that to an ingress controller."""
