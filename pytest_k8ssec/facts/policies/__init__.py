"""What policies should let through, computed from the objects of a cluster alone.

- ``admin``: policies for the whole cluster, as the objects have them; which of them are of a known form.
- ``bits``: sets of numbers as one whole number; they are joined and cut at once.
- ``index``: what selectors, blocks and ports of policies name among many ends at once.
- ``kinds``: the policies of a cluster that are no NetworkPolicies, by discovery; which of them are not read.
- ``network``: a NetworkPolicy, its selectors and its ends, as the objects have them.
- ``pod_classes``: which pods are alike in all that policies ask.
- ``reasons``: which policy decides a connection, by kind, name and rule.
- ``table``: what policies let through between many sources and many ports.
- ``tiers``: what one tier of policies for the whole cluster decides between them.
"""
