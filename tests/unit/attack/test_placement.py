"""What is where: by names that are the same in every run, as a baseline is compared with another run's."""

from __future__ import annotations

from pytest_k8ssec.attack.graph import Kind, Vertex
from pytest_k8ssec.clusters.interface import Node
from tests.unit.attack.graphs import FakeCluster


def test_a_node_of_a_copy_is_called_as_in_any_other_run() -> None:
    """Its name in Kubernetes is that of the cluster that was frozen."""
    frozen = Node(
        "k8ssec-frozen-0a-worker", "10.0.0.3", control_plane=False, container="k8ssec-1-worker", short="worker"
    )
    scene = FakeCluster(nodes=(frozen,)).scene()
    assert Vertex(Kind.NODE, "worker") == scene.node(frozen) == scene.node(frozen.name)
    assert "worker2" == scene.short("k8ssec-1-worker2")
