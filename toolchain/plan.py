"""All outputs, and which of them a build is asked for."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from toolchain.binaries import Binaries, binaries
from toolchain.debian import DebianRoot
from toolchain.errors import ToolchainError
from toolchain.load_balancer_image import LoadBalancerImage
from toolchain.node_image import NodeImage
from toolchain.output import Output
from toolchain.probe_image import ProbeImage


@dataclass(frozen=True)
class Plan:
    """Every output that there is."""

    binaries: Binaries
    roots: tuple[DebianRoot, ...]
    probe_image: ProbeImage
    node_image: NodeImage
    balancer_image: LoadBalancerImage

    def outputs(self) -> tuple[Output, ...]:
        """Each after what it needs, and the slowest first."""
        return (*self.binaries.all(), *self.roots, self.probe_image, self.node_image, self.balancer_image)

    def targets(self, names: Collection[str]) -> tuple[Output, ...]:
        """The outputs of these names; of no names, what tools.json tells of, the rest being means to that end."""
        if not names:
            mine = self.binaries
            programs = (mine.kubernetes, mine.kind, mine.pulumi, mine.provider, mine.yaml)
            return (*programs, self.probe_image, self.node_image)
        known = {output.name: output for output in self.outputs()}
        unknown = sorted(set(names) - known.keys())
        if unknown:
            raise ToolchainError(
                f"{', '.join(unknown)}: nothing of that name is built here; there are: {', '.join(known)}"
            )
        return tuple(known[name] for name in names)

    def missing(self, targets: Collection[Output]) -> tuple[Output, ...]:
        """Those that do not exist, and of what they are made from, likewise; each after what it needs."""
        found: set[str] = set()
        pending = list(targets)
        while pending:
            output = pending.pop()
            if output.name not in found and not output.exists():
                found.add(output.name)
                pending += output.needs
        return tuple(output for output in self.outputs() if output.name in found)


@cache
def plan() -> Plan:
    """The outputs as versions.toml and the go.mod files describe them."""
    roots = probe_root, node_root, balancer_root = tuple(map(DebianRoot, ("probe", "node", "load-balancer")))
    probe = ProbeImage(probe_root)
    return Plan(binaries(), roots, probe, NodeImage(node_root, probe, binaries()), LoadBalancerImage(balancer_root))
