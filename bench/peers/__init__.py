"""The other tools, one file each."""

from bench.peers.interface import Peer
from bench.peers.kdigger import Kdigger
from bench.peers.kimera import Kimera
from bench.peers.kube_bench import KubeBench
from bench.peers.kube_hunter import KubeHunter

PEERS: tuple[Peer, ...] = (KubeHunter(), Kimera(), Kdigger(), KubeBench())
"""In the table's order."""
