"""Reads a cluster's objects, its nodes and its listening ports. It attacks nothing and changes nothing.

- ``admin_policies``: policies for the whole cluster, as the objects have them; which of them are of a known form.
- ``auditlog``: what API servers wrote into their audit logs; lines, and where they were read.
- ``bits``: sets of numbers as one whole number; they are joined and cut at once.
- ``capabilities``: the names of Linux capabilities, by their bits.
- ``container_users``: as whom a container was started, where its spec leaves that to its image.
- ``containers``: the containers that a workload really has; a pod template for each.
- ``credentials``: what logs in somewhere, among pieces of texts that look like it.
- ``inventory``: every object and every log of some namespaces, and which namespaces are not ours.
- ``listening_ports``: the stack's running pods; each port that one of them listens on.
- ``node``: processes of a node; where they listen, and with which arguments they run.
- ``node_host``: testinfra's host, typed; nothing is read here.
- ``own_sockets``: which sockets of a node are listeners of ours.
- ``pod_classes``: which pods are alike in all that NetworkPolicies ask.
- ``policies``: a NetworkPolicy, its selectors and its ends, as the objects have them.
- ``policy_index``: what selectors, blocks and ports of NetworkPolicies name among many ends at once.
- ``policy_kinds``: the policies of a cluster that are no NetworkPolicies, by discovery; which of them are not read.
- ``policy_reasons``: which policy decides a connection, by kind, name and rule.
- ``policy_table``: what policies let through between many sources and many ports, computed from the objects.
- ``policy_tiers``: what one tier of policies for the whole cluster decides between them.
- ``rbac_rights``: what RBAC's objects grant service accounts, by account and namespace.
- ``variables``: the environment of a container, from its spec, Secrets and ConfigMaps.

More than twelve files: each reads one thing, and most import none of the others.
"""
