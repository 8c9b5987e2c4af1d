"""Reads a cluster's objects, its nodes and its listening ports. It attacks nothing and changes nothing.

More than twelve files, as each reads one thing of a cluster that several controls ask for.

- ``auditlog``: what API servers wrote into their audit logs; lines, and where they were read.
- ``capabilities``: the names of Linux capabilities, by their bits.
- ``container_users``: as whom a container was started, where its spec leaves that to its image.
- ``containers``: the containers that a workload really has; a pod template for each.
- ``credentials``: what logs in somewhere, among pieces of texts that look like it.
- ``inventory``: every object and every log of some namespaces, and which namespaces are not ours.
- ``listening_ports``: the stack's running pods; each port that one of them listens on.
- ``node``: processes of a node; where they listen, and with which arguments they run.
- ``node_host``: testinfra's host, typed; nothing is read here.
- ``own_sockets``: which sockets of a node are listeners of ours.
- ``rbac_rights``: what RBAC's objects grant service accounts, by account and namespace.
- ``signing_keys``: by which keys a cluster knows its clients; what a private one of them, that was found, makes.
- ``variables``: the environment of a container, from its spec, Secrets and ConfigMaps.

The folder ``policies`` computes what policies should let through, and ``culprits`` finds who let an attack through.
"""
