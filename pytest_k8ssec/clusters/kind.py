"""kind clusters: made and removed by this run, or found by name and only looked at.

kind runs as a subprocess. Removal goes through docker by kind's own label, so that it needs nothing of what creation
needed and works in the middle of it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from pytest_k8ssec.clusters import after, diagnostics
from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.clusters.interface import Node, Published
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.kubeconfigs import kubeconfig_of
from pytest_k8ssec.errors import ClusterError, CommandError, ProbeError
from pytest_k8ssec.machine import belongings, docker
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.once import Once
from pytest_k8ssec.machine.process import Completed, Tell, run
from pytest_k8ssec.machine.recorder import attend
from pytest_k8ssec.machine.tools import Image, Tool

CREATE_SECONDS = 300
READY_SECONDS = 120
_REFUSED = re.compile(
    r"ERROR: failed to create cluster: (?P<why>\[?(unable to decode config|invalid|unknown apiVersion).*)", re.DOTALL
)
"""What kind says of a configuration before it makes anything."""
_NOT_PULLED = re.compile(r'failed to pull image "(?P<image>[^"]*/envoy:[^"]*)"')
"""What it says where the image is out of reach that it puts before several control planes."""
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass
class KindCluster:
    """A kind cluster; see :class:`pytest_k8ssec.clusters.interface.Cluster` for what each member means."""

    name: str
    kubeconfig: Path
    workdir: Path
    ours: bool
    origin: Literal["packaged", "user", "existing"]
    variant: str
    image: Image
    run: Run
    _vantages: Once[str] = field(default_factory=Once, repr=False)

    @cached_property
    def api(self) -> KubeApi:
        """Authenticated client of the API server. What it makes on a cluster that stays is written down."""
        return KubeApi(self.kubeconfig, made=None if self.ours else self._note)

    def _note(self, path: str, uid: str) -> None:
        self.run.made_object(self.name, path, uid)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, control plane first."""
        # By host name, not by container name: a cluster that was thawed has the node names of the one that was frozen.
        containers = {
            each.hostname or each.name: each.name
            for each in docker.described(one.id for one in docker.of_cluster(self.name))
        }
        found = []
        for item in self.api.list("/api/v1/nodes"):
            name = item["metadata"]["name"]
            told = item.get("status", {}).get("addresses") or ()
            address, *further = [each["address"] for each in told if each["type"] == "InternalIP"] or [""]
            labels = item["metadata"].get("labels", {})
            container = containers.get(name, "")
            short = (container or name).removeprefix(f"{self.name}-")
            found.append(Node(name, address, _CONTROL_PLANE in labels, container, short, tuple(further)))
        return tuple(sorted(found, key=lambda node: (not node.control_plane, node.name)))

    @cached_property
    def version(self) -> str:
        """Kubernetes version of the API server."""
        return str(self.api.get("/version").get("gitVersion", ""))

    @cached_property
    def probe_image(self) -> str:
        """The probe image as it is named on the nodes."""
        return on_nodes(self.image.reference)

    @cached_property
    def machine_addresses(self) -> tuple[str, ...]:
        """The addresses by which this machine is reached from the nodes' network."""
        return docker.gateways(self._network)

    def published(self, node: Node | None) -> tuple[Published, ...]:
        """The ports of this machine that lead to a node, or to what stands before the control planes."""
        container = node.container if node else self._balancer
        if not container:
            return ()
        try:
            told = docker.docker("inspect", "--format", "{{json .NetworkSettings.Ports}}", container).text
        except CommandError as error:
            raise ProbeError(f"container {container}: {error.message}", fix=error.fix, details=error.details) from error
        return tuple(
            Published(binding["HostIp"], int(binding["HostPort"]), int(target.partition("/")[0]))
            for target, bindings in json.loads(told).items()
            if target.endswith("/tcp")
            for binding in bindings or ()
        )

    def on_node(
        self, node: Node, argv: Sequence[str], *, deadline: float = 20, stdin: bytes = b"", check: bool = True
    ) -> Completed:
        """Run a command on a node as root."""
        if not node.container:
            raise ProbeError(f"node {node.name}: no access: not a container of this docker daemon")
        return self._exec(node.container, argv, deadline=deadline, stdin=stdin, check=check)

    def in_network_of(
        self, node: Node | None, argv: Sequence[str], *, deadline: float = 20, stdin: bytes = b""
    ) -> Completed:
        """Run a command of the probe image in a node's network namespace, or beside the nodes on their network."""
        place = "outside" if node is None else node.container
        if not place:
            raise ProbeError(f"node {node.name if node else ''}: no access: not a container of this docker daemon")
        container = self._vantages.get(place, lambda: self._vantage(place))
        return self._exec(container, argv, deadline=deadline, stdin=stdin, check=False)

    def _exec(self, container: str, argv: Sequence[str], *, deadline: float, stdin: bytes, check: bool) -> Completed:
        try:
            return docker.docker("exec", "-i", container, *argv, deadline=deadline, stdin=stdin, check=check)
        except CommandError as error:
            raise ProbeError(f"container {container}: {error.message}", fix=error.fix, details=error.details) from error

    def _vantage(self, place: str) -> str:
        """A container of ours to probe from; it holds nothing of the cluster but its network, and hardly a capability."""
        beside = self.name if self.ours else self.run.name()
        name = "-".join(filter(None, (beside, "from", place.removeprefix(f"{self.name}-"), self.run.worker)))
        network = f"container:{place}" if place != "outside" else self._network
        # Listeners of ours outside stand where others would: at 53, 80 and 443.
        added = ("--cap-add", "NET_BIND_SERVICE") if place == "outside" else ()
        attend(self.run)
        self.run.will_create("container", name)
        try:
            # Made first and started then: in between its id is written down.
            made = docker.docker(
                "create", "--pull", "never", "--name", name, "--label", f"{docker.RUN_LABEL}={self.run.id}",
                "--network", network, "--cap-drop", "ALL", *added, "--read-only", "--tmpfs", "/tmp",  # noqa: S108 - in a container
                "--entrypoint", "sleep", self.image.reference, "infinity", mark=self.run.id,
            ).text.strip()  # fmt: skip
            self.run.made(docker.described([made]))
            docker.docker("start", made)
        except CommandError as error:
            raise ProbeError(f"container {name}: could not be started", details=error.details) from error
        return name

    def close(self) -> None:
        """Remove our containers beside the nodes, and the nodes if the cluster is ours.

        Raises:
            CommandError: docker refused.
        """
        self.close_vantages()
        if self.ours:
            _remove(self.run, lambda each: _is_node(each, self.name))

    def close_vantages(self) -> None:
        """Remove our containers beside the nodes.

        Raises:
            CommandError: docker refused.
        """
        if vantages := set(self._vantages.values):
            _remove(self.run, lambda each: each.name in vantages)
        self._vantages.clear()

    @cached_property
    def _balancer(self) -> str:
        """The container before several control planes, "" where there is none."""
        found = docker.described(one.id for one in docker.of_cluster(self.name))
        return next(
            (each.name for each in found if each.labels.get(docker.KIND_ROLE_LABEL) == docker.BALANCER_ROLE), ""
        )

    @cached_property
    def _network(self) -> str:
        """The docker network that the nodes are on."""
        names = docker.docker(
            "inspect",
            "--format",
            "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
            next(node.container for node in self.nodes if node.container),
        )
        return names.text.split()[0]


def create(
    config: KindConfig,
    owner: Run,
    *,
    kind: Tool,
    node_image: Image,
    probe_image: Image,
    origin: Literal["packaged", "user"],
    variant: str = "",
    suffix: str = "",
    kept_name: str = "",
    progress: Tell = lambda _: None,
    logs: Path | None = None,
) -> KindCluster:
    """Make a cluster and wait until its nodes are ready.

    Args:
        config: its configuration.
        owner: the run whose ledger notes it first.
        variant: name of the sabotage that ``config`` carries, "" for none.
        suffix: tells apart several clusters of one run.
        kept_name: a name that the user chose, instead of the run's.
        progress: called with each step in words.
        logs: where the nodes' logs go when creation fails.

    Raises:
        ClusterError: kind refused, or the nodes were not ready in time; nothing is left behind then.
    """
    name = kept_name or owner.name(suffix)
    if docker.of_cluster(name):
        # Noted down, it would be removed as ours.
        raise ClusterError(f"kind cluster {name!r}: exists already", fix="choose another name, or remove it first")
    workdir = owner.folder(f"cluster-{suffix}" if suffix else "cluster")
    prepared = config.copy()
    if docker.docker("info", "--format", "{{.CgroupVersion}}").text.strip() == "1":
        # From Kubernetes 1.35 on the kubelet refuses cgroup v1 unless told otherwise.
        prepared.kubelet(failCgroupV1=False)
    prepared.mount(owner.folder(owner.mark.name), belongings.FOLDER_ON_NODE)
    file = prepared.write(workdir, name)
    cluster = KindCluster(name, workdir / "kubeconfig", workdir, True, origin, variant, probe_image, owner)
    attend(owner)
    owner.will_create("cluster", name)
    progress(f"creating kind cluster {name} ({config.node_count} nodes{f', {variant}' if variant else ''})")
    started = time.monotonic()
    try:
        try:
            _kind(
                kind, "create", "cluster", "--name", name, "--config", str(file), "--image", node_image.reference,
                "--kubeconfig", str(cluster.kubeconfig), "--retain", "--wait", "0s",
                deadline=CREATE_SECONDS, what=f"kind config {config.source}", owner=owner,
            )  # fmt: skip
        except ClusterError as error:
            raise _refusal(config.source, error.details) or _no_balancer(error.details) or error from None
        _record_nodes(owner, name, config.node_count)
        # First of all: a node that registers late would be missing from `nodes` for good, and be judged by nobody.
        _await_nodes(cluster, config.node_count)
        _load_probe_image(cluster, kind)
        _answers(cluster)
        for step in config.after:
            after.STEPS[step](cluster)
    except BaseException as error:
        if logs is not None and isinstance(error, ClusterError) and (saved := export_logs(cluster, kind, logs)):
            error.details += f"\nlogs of its nodes: {saved}"
        with suppress(CommandError):  # the ledger has it: it is tried again at the end of the run
            cluster.close()
        raise
    progress(f"cluster {name} ready in {time.monotonic() - started:.0f} s")
    return cluster


def attach(name: str, owner: Run, *, kind: Tool, probe_image: Image) -> KindCluster:
    """An existing kind cluster; its configuration is never changed, and it is never sabotaged or deleted.

    Raises:
        ClusterError: there is none of that name, or it does not answer.
        CommandError: docker does not answer.
    """
    workdir = owner.folder("cluster")
    cluster = KindCluster(name, workdir / "kubeconfig", workdir, False, "existing", "", probe_image, owner)
    try:
        _write_kubeconfig(cluster, kind)
    except ClusterError:
        _tell_unknown(name, kind)
        raise
    _answers(cluster)
    _load_probe_image(cluster, kind)
    return cluster


def _tell_unknown(name: str, kind: Tool) -> None:
    """Raises ClusterError where kind knows no cluster of that name."""
    known = _kind(kind, "get", "clusters", deadline=20, what="kind").text.split()
    if name not in known:
        raise ClusterError(
            f"kind cluster {name!r}: does not exist",
            fix=f"known: {', '.join(known)}"
            if known
            else f"there is no kind cluster: `kind create cluster --name {name}`",
        )


def _write_kubeconfig(cluster: KindCluster, kind: Tool) -> None:
    """Write the administrator's kubeconfig, as kind has it.

    Raises:
        ClusterError: kind has none.
    """
    cluster.kubeconfig.touch(mode=0o600)
    told = kubeconfig_of(cluster.name) or _kind(
        kind, "get", "kubeconfig", "--name", cluster.name, deadline=20, what="kind", owner=cluster.run
    ).text  # fmt: skip
    cluster.kubeconfig.write_text(told)


def export_logs(cluster: KindCluster, kind: Tool, directory: Path) -> Path | None:
    """Save the logs of a cluster's nodes, without its secrets, as far as they can be read. Returns where they are."""

    def export(folder: Path) -> None:
        _kind(kind, "export", "logs", str(folder), "--name", cluster.name, deadline=60, what="kind", owner=cluster.run)

    try:
        if not any(_is_node(each, cluster.name) for each in belongings.of_living(cluster.run)):
            return None
    except CommandError:
        return None  # the error that led here matters more than that its logs could not be saved
    return diagnostics.save(cluster.run, directory, export, lambda: diagnostics.secrets_of(lambda: cluster.api))


def _record_nodes(owner: Run, name: str, count: int) -> None:
    """Write down the nodes by their ids. Raises ClusterError where they can't be told from somebody else's."""
    nodes = [each for each in belongings.of_living(owner) if _is_node(each, name)]
    if len(nodes) < count:
        raise ClusterError(
            f"cluster {name}: of {count} nodes {len(nodes)} have the folder of this run, so the rest can't be told from others'",
            fix=f"look at them with `docker ps --all`; if they are this run's: kind delete cluster --name {name}",
        )
    owner.made(nodes)


def _is_node(container: docker.DockerContainer, cluster: str) -> bool:
    """Whether a container is a node of the cluster, or its load balancer."""
    return container.labels.get(docker.KIND_LABEL) == cluster


def _remove(owner: Run, chosen: Callable[[docker.DockerContainer], bool]) -> None:
    """Remove some of what a run made.

    Raises:
        CommandError: docker refused.
    """
    docker.remove_all(lambda: [each for each in belongings.of_living(owner) if chosen(each)])


def _refusal(source: Path, said: str) -> ClusterError | None:
    """What to tell where kind refused a configuration as such; None where it failed at something else."""
    found = _REFUSED.search(said)
    if found is None:
        return None
    first, _, rest = found["why"].partition("\n")
    return ClusterError(
        f"kind config {source}: kind refuses it: {first}",
        fix="correct it; what kind accepts: https://kind.sigs.k8s.io/docs/user/configuration/",
        details=rest,
    )


def _no_balancer(said: str) -> ClusterError | None:
    """What to tell where kind has no image of a load balancer; None where it failed at something else."""
    found = _NOT_PULLED.search(said)
    if found is None:
        return None
    return ClusterError(
        f"image {found['image']}: kind puts it before several control planes, and it is out of reach",
        fix="load it into docker: `docker load --input FILE`",
        details=said,
    )


def _kind(kind: Tool, *arguments: str, deadline: float, what: str, owner: Run | None = None) -> Completed:
    """Run kind without the user's kubeconfig in sight.

    Args:
        owner: the run whose sweep ends it, and removes its temporary files, where this process is killed meanwhile.
    """
    env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    if owner:
        env["TMPDIR"] = str(owner.folder("tmp"))
    try:
        return run([str(kind.path), *arguments], deadline=deadline, env=env, mark=owner.id if owner else "")
    except CommandError as error:
        raise ClusterError(f"{what}: {error.message}", details=error.details) from error


def _answers(cluster: KindCluster) -> None:
    """Ask an API server for its version, which is remembered. Raises ClusterError where it does not answer."""
    _ = cluster.version


def _await_nodes(cluster: KindCluster, count: int) -> None:
    """Wait until all nodes are Ready.

    Raises:
        ClusterError: some are not, in time.
    """
    ready: dict[str, bool] = {}
    for event, node in cluster.api.watch("/api/v1/nodes", deadline=READY_SECONDS):
        ready[node["metadata"]["name"]] = event != "DELETED" and is_ready(node)
        if sum(ready.values()) >= count:
            break
    else:
        waiting = ", ".join(name for name, yes in ready.items() if not yes) or "all"
        raise ClusterError(f"cluster {cluster.name}: nodes not ready within {READY_SECONDS} s: {waiting}")
    if len(cluster.nodes) != count:
        raise ClusterError(f"cluster {cluster.name}: has {len(cluster.nodes)} nodes, not {count}")


def is_ready(item: Body) -> bool:
    """Whether a node or a pod is, as the API has it: its condition ``Ready``."""
    ready = {"type": "Ready", "status": "True"}.items()
    return any(ready <= condition.items() for condition in item.get("status", {}).get("conditions", []))


def on_nodes(reference: str) -> str:
    """How containerd names an image of the local docker store: tags keep their name, digests get a tag of ours."""
    name, _, digest = reference.partition("@sha256:")
    if digest:
        return f"docker.io/k8ssec/probe:{digest[:12]}"
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _load_probe_image(cluster: KindCluster, kind: Tool) -> None:
    """Bring the probe image to every node that lacks it, and is a container: no pod of ours runs on any other."""
    asked = ["ctr", "-n", "k8s.io", "images", "ls", "-q", f"name=={cluster.probe_image}"]
    nodes = [node for node in cluster.nodes if node.container]
    with ThreadPoolExecutor(max(1, len(nodes))) as threads:
        told = threads.map(lambda node: cluster.on_node(node, asked).stdout, nodes)
        lacking = [node for node, there in zip(nodes, told, strict=True) if not there]
    if not lacking:
        return
    tag = cluster.probe_image.removeprefix("docker.io/").removeprefix("library/")
    if not docker.has_image(tag):
        docker.docker("tag", cluster.image.reference, tag)
    names = ",".join(node.container for node in lacking)  # what kind calls a node
    _kind(
        kind, "load", "docker-image", tag, "--name", cluster.name, "--nodes", names,
        deadline=120, what="probe image", owner=cluster.run,
    )  # fmt: skip
