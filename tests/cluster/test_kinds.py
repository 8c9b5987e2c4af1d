"""Objects that a program gets into a cluster by charts, Releases, patches, Kustomize and YAML are the stack's as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cluster.harness import Place

STACK = (f"--k8ssec-stack={Path(__file__).parent / 'kinds'}", "--k8ssec-config=image={probe_image}")
SEEN = """
def test_all_are_seen(stack):
    workloads = {(one.kind, one.namespace, re.sub("-[0-9a-f]{8}$", "", one.name)) for one in stack.workloads()}
    assert workloads == {("Deployment", "kinds", "from-chart"), ("Deployment", "kinds", "from-release")}
    names = {(one.kind, re.sub("-[0-9a-f]{8}$", "", one.name)) for one in stack.objects if one.urn}
    assert names == {
        ("Namespace", "kinds"), ("ConfigMap", "from-component"), ("ServiceAccount", "default"), ("ConfigMap", "from-yaml"),
        ("ServiceAccount", "from-kustomize"), ("ServiceAccount", "from-chart"), ("Deployment", "from-chart"),
        ("ServiceAccount", "from-release"), ("Deployment", "from-release"),
    }
    came = {(one.kind, str(one.origin)) for one in stack.objects if not one.urn}
    assert came == {
        ("ReplicaSet", "of a controller"), ("Pod", "of a controller"), ("Secret", "of a Helm Release"),
    }
    (release,) = stack.releases
    accounts = {one.name: one for one in stack.service_accounts}
    assert accounts[release.name].urn == release.urn
    assert accounts[release.name].api_client == "asks for its own name"
    assert stack.namespaces == ("kinds",)
    assert stack.deployed is DEPLOYED
"""


def test_all_ways_are_seen_where_deployed_and_where_read(place: Place) -> None:
    """On a cluster of ours, and then on the same one, when it is only read and a preview invents other names."""
    place.thaws = True
    file = place.file("test_seen.py", f"import re\nDEPLOYED = True\n{SEEN}")
    done = place.pytest(
        str(file), *STACK, f"--k8ssec-kind-config={place.kind_config}", "--k8ssec-keep=always", "-rP", "-v"
    )
    assert done.end(300) == pytest.ExitCode.OK, done.output
    # Namespace, component's, two patches, YAML's, Kustomize's, two of the chart's, and the Release.
    assert "stack: 9 of 9 objects" in done.output, done.output
    (kept,) = re.findall(r"--k8ssec-cluster[= ](\S+)", done.output)[:1]
    place.file("test_seen.py", f"import re\nDEPLOYED = False\n{SEEN}")
    read = place.pytest(str(file), *STACK, f"--k8ssec-cluster={kept}")
    assert read.end(200) == pytest.ExitCode.OK, read.output
