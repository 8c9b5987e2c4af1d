"""Which programs there are, and what each one's build needs besides its go.mod."""

from dataclasses import dataclass, fields
from functools import cache

from toolchain.embed import Embedded
from toolchain.gobuild import GoBinaries

PULUMI = "github.com/pulumi/pulumi"
PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"

KUBERNETES_LINKS = (
    "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubectl", "kubelet",
)  # fmt: skip

KUBERNETES_STAMPS = tuple(
    f"{package}.{stamp}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for stamp in ("gitVersion={version}", "gitMajor={major}", "gitMinor={minor}", "gitTreeState=clean")
)
"""Without them a server says that it is v0.0.0-master, and kubeadm refuses to work with it."""

SCHEMA = Embedded(
    PROVIDER, "cmd/pulumi-resource-kubernetes", plain=("terraform-mapping.json",), versioned=("schema.json",)
)
"""Generated beside the provider's own main, and not part of its module; what they are generated from is."""
PROVIDER_RELEASE = "v4.25.0-alpha.1768448096"
"""What Pulumi released from the commit that go.mod names: the number is that commit's time."""


@dataclass(frozen=True)
class Binaries:
    """One output for each folder under go/, the slowest to build first: that is the order they are built in."""

    kubernetes: GoBinaries
    kube_router: GoBinaries
    coredns: GoBinaries
    containerd: GoBinaries
    etcd: GoBinaries
    crictl: GoBinaries
    kind: GoBinaries
    cni: GoBinaries
    pause: GoBinaries
    pulumi: GoBinaries
    provider: GoBinaries
    yaml: GoBinaries

    def all(self) -> tuple[GoBinaries, ...]:
        """Each of them, in that order; Pulumi last, since no image waits for it."""
        return tuple(getattr(self, field.name) for field in fields(self))


@cache
def binaries() -> Binaries:
    """The binaries as go.mod files and this table describe them."""
    return Binaries(
        kubernetes=GoBinaries("kubernetes", "k8s.io/kubernetes", stamps=KUBERNETES_STAMPS, links=KUBERNETES_LINKS),
        kube_router=GoBinaries("kube-router", "github.com/cloudnativelabs/kube-router/v2"),
        coredns=GoBinaries("coredns", "github.com/coredns/coredns"),
        containerd=GoBinaries("containerd", "github.com/containerd/containerd/v2", tags="no_btrfs,no_devmapper,no_zfs"),
        etcd=GoBinaries("etcd", "go.etcd.io/etcd/server/v3", renamed=(("server", "etcd"),)),
        crictl=GoBinaries("crictl", "sigs.k8s.io/cri-tools"),
        kind=GoBinaries("kind", "sigs.k8s.io/kind"),
        cni=GoBinaries("cni", "github.com/containernetworking/plugins"),
        pause=GoBinaries("pause"),
        # Pulumi's Automation API refuses a program that does not know its version.
        pulumi=GoBinaries(
            "pulumi", f"{PULUMI}/pkg/v3", stamps=(f"{PULUMI}/sdk/v3/go/common/version.Version={{version}}",)
        ),
        provider=GoBinaries(
            "pulumi-resource-kubernetes",
            PROVIDER,
            stamps=(f"{PROVIDER}/pkg/version.Version={PROVIDER_RELEASE.removeprefix('v')}",),
            release=PROVIDER_RELEASE,
            embedded=SCHEMA,
        ),
        yaml=GoBinaries("pulumi-language-yaml", "github.com/pulumi/pulumi-yaml"),
    )


@cache
def peers() -> dict[str, GoBinaries]:
    """Other tools that ours is measured beside, and what they need: no part of any plan, built when a bench asks."""
    return {
        name: GoBinaries(name, module)
        for name, module in (
            ("kdigger", "github.com/quarkslab/kdigger"),
            ("kube-bench", "github.com/aquasecurity/kube-bench"),
            ("cyclonus", "github.com/mattfenwick/cyclonus"),
            ("cyclonus-matcher", "github.com/mattfenwick/cyclonus"),
            ("agnhost", "k8s.io/kubernetes"),
        )
    }


@cache
def kwok() -> GoBinaries:
    """Pretends that nodes and pods run, for tests at scale: no part of any plan, built when such a test asks."""
    return GoBinaries("kwok", "sigs.k8s.io/kwok")
