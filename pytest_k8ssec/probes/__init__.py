"""A probe sends something from a place and returns evidence. It judges nothing, and changes only objects of ours.

- ``admission``: an object to the API server, as a dry run; its answer.
- ``certificates``: nothing; makes certificates that nobody trusts, for others to show.
- ``cloud_metadata``: nothing; has something answer at the cloud's metadata address on a node, and says where.
- ``escalation``: access reviews, whether a change leads up; the answer that it does. The requests that lead up are data.
- ``etcd``: requests to etcd's API, from a place or by root on its node; each answer, and of values only what may be shown.
- ``exposure``: nothing to the cluster; tells which ports it asks its nodes to open, and opens one of ours on this machine.
- ``guises``: nothing; as whom a pod may be offered and what it may wear, by the rules of admission that are there.
- ``identities``: requests to the API server with a service account's own token; each answer.
- ``kubelets``: a kubelet's configuration, asked for through the API server; one field of it, and the answer.
- ``leakage``: reads of every object and log; where a secret value was found, and how much was searched.
- ``nodes_in_reach``: whether a pod, or the API server, reaches each kubelet whose node can't be entered; which nodes can be looked at.
- ``outside_listener``: starts a listener of ours beside the nodes; the tasks that reach it.
- ``places_by_rights``: asks for an account's rules in some namespaces; which of these it has to try, as they tell of the others.
- ``planted_files``: writes a file of ours on a node and removes it; the paths that pods look for it at.
- ``podsecurity``: a pod that breaks one rule of the Pod Security Standards, as a dry run; the answer.
- ``policy_enforcement``: TCP and UDP between canaries of ours, policies on and off; what came of each attempt.
- ``prove_listening``: a TCP connection to each target from where it is allowed; which targets listen.
- ``rights_table``: asks for rights that lead further, each beside a request that changes nothing; the table of both.
- ``web_pages``: nothing to the web; what a page's text shows of it, and which hosts and paths Ingresses lead from.
- ``write_through``: a Secret of ours through one API server; what it reads back.

More than twelve files: each probes one thing, imports few of the others, and a folder of its own would only repeat its
name.
"""
