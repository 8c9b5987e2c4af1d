"""Reads a cluster's objects, its nodes and its listening ports. It attacks nothing and changes nothing.

- ``auditlog``: what API servers wrote into their audit logs; lines, and where they were read.
- ``capabilities``: the names of Linux capabilities, by their bits.
- ``containers``: the containers that a workload really has; a pod template for each.
- ``inventory``: every object and every log of some namespaces.
- ``listening_ports``: the stack's running pods; each port that one of them listens on.
- ``node``: processes of a node; where they listen, and with which arguments they run.
- ``policies``: what NetworkPolicies let through, computed from the objects.
"""
