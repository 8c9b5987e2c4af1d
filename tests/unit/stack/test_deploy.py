"""Pulumi's own engine runs a program, inline and by a language host; no cluster, as the programs need none."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import StackError
from pytest_k8ssec.machine import tools
from pytest_k8ssec.stack import (
    SAMPLE,
    EarlyChild,
    Engine,
    Secret,
    Stack,
    StackSource,
    Workspace,
    deploy,
    prepare,
    read_stack,
)
from pytest_k8ssec.stack.deploy import _Operations


def _find_pulumi() -> Path | None:
    """Pulumi on PATH or in the toolchain's cache; never fetched."""
    if found := shutil.which("pulumi"):
        return Path(found)
    try:
        built = Path(json.loads((tools.cache_root() / "tools.json").read_text())["pulumi"]["path"])
    except (OSError, ValueError, KeyError):
        return None
    return built if built.exists() else None


_PULUMI = _find_pulumi()  # at import: each test has a cache of its own
needs_pulumi = pytest.mark.skipif(_PULUMI is None, reason="pulumi is neither on PATH nor in the cache: make tools")

_PROGRAM = """
import os
import pulumi
import helper

print("what a program prints is no message")
config = pulumi.Config()
pulumi.export("image", config.require("image"))
pulumi.export("nested", {"key": config.require_secret("key")})
pulumi.export("where", os.getcwd())
pulumi.export("kubeconfig", os.environ["KUBECONFIG"])
pulumi.export("token", os.environ.get("PULUMI_ACCESS_TOKEN", "none"))
"""
_HELPER = """
import pulumi

class Part(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("shop:index:Part", "declared-on-import")

Part()
"""
_HOST = """
import os, runpy, sys
from concurrent import futures
import grpc
from google.protobuf import empty_pb2
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

class Host(LanguageServer):
    def Handshake(self, request, context):
        return language_pb2.LanguageHandshakeResponse()

    def Cancel(self, request, context):
        return empty_pb2.Empty()

    def Run(self, request, context):
        def program():
            os.chdir(request.pwd)
            sys.path.insert(0, request.pwd)
            runpy.run_path(os.path.join(request.pwd, "__main__.py"), run_name="__main__")
        self.program = program
        return super().Run(request, context)

server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(None), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


@dataclass
class _Cluster:
    """As much of a cluster as a program without Kubernetes objects asks for."""

    workdir: Path
    ours: bool = True
    name: str = "test"
    probe_image: str = "example/probe:1"
    api: Any = field(
        default_factory=lambda: SimpleNamespace(
            server="https://127.0.0.1:4321", created=set(), request=lambda *_, **__: Response(200, {"items": []}, 1)
        )
    )
    nodes: tuple[Node, ...] = (Node("test-worker", "172.18.0.9", control_plane=False),)

    @property
    def kubeconfig(self) -> Path:
        return self.workdir / "kubeconfig"


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A cluster of our own."""
    (tmp_path / "work").mkdir()
    return cast("Cluster", _Cluster(tmp_path / "work"))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackSource:
    """A stack with a module of its own, a plain and a secret value."""
    directory = tmp_path / "infra"
    directory.mkdir()
    # A backend of the user's own, and an account: neither may be used.
    (directory / "Pulumi.yaml").write_text("name: shop\nruntime: python\nbackend: {url: 's3://never'}\n")
    (directory / "__main__.py").write_text(_PROGRAM)
    (directory / "helper.py").write_text(_HELPER)
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "of-the-user")
    monkeypatch.setenv("SHOP_KEY", "hush")
    return StackSource(directory, "dev", None, {"image": "{probe_image}"}, {"key": "SHOP_KEY"})


@needs_pulumi
@pytest.mark.parametrize("host", [False, True], ids=["inline", "language host"])
def test_a_stack_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, source: StackSource, host: bool
) -> None:
    """Outputs, secrets and resources are the same whether the program runs inline or as `pulumi up` would run it."""
    if host:
        script = tmp_path / "bin" / "pulumi-language-python"
        script.parent.mkdir()
        script.write_text(f"#!{sys.executable}\n{_HOST}")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    before = sorted(path.name for path in source.directory.iterdir())
    assert _PULUMI
    said: list[str] = []

    stack = deploy(source, Engine(_PULUMI), cluster, deadline=100, progress=said.append)

    assert stack.outputs["image"] == "example/probe:1"
    assert isinstance(stack.outputs["nested"]["key"], Secret)
    assert stack.outputs["nested"]["key"].reveal() == "hush"
    assert stack.outputs["where"] == str(source.directory)
    assert stack.outputs["kubeconfig"] == str(cluster.kubeconfig)
    assert stack.outputs["token"] == "none"
    # Declared while a module of the user's is imported, so seen only if the second run imports it anew.
    assert [one.name for one in stack.resources] == ["declared-on-import"]
    assert said[0] == "stack: previewing"
    assert "hush" not in repr(stack)
    # Nothing is written beside the user's program but Python's own cache.
    assert sorted(path.name for path in source.directory.iterdir() if path.name != "__pycache__") == before


@needs_pulumi
@pytest.mark.parametrize("dies", [False, True], ids=["in time", "killed"])
def test_a_stack_that_was_made_before_there_was_a_cluster_is_the_same(
    tmp_path: Path, cluster: Cluster, source: StackSource, dies: bool
) -> None:
    """What was not known yet, the kubeconfig, is told later; and a child that died is replaced."""
    assert _PULUMI
    (tmp_path / "early").mkdir()
    workspace = Workspace(prepare(source), Engine(_PULUMI), tmp_path / "early", "example/probe:1")
    early = EarlyChild()
    early.make_stack(workspace)
    if dies:
        assert early._process
        early._process.kill()
        early._process.wait(timeout=30)
    stack = deploy(source, Engine(_PULUMI), cluster, deadline=100, early=early)
    assert stack.outputs["image"] == "example/probe:1"
    assert stack.outputs["nested"]["key"].reveal() == "hush"
    assert stack.outputs["kubeconfig"] == str(cluster.kubeconfig)
    assert early.workspace is None, "each child works for one"
    assert any((tmp_path / "early" / "state").rglob("dev.json")), "the state is in its workspace"
    assert not list(cluster.workdir.glob("stack*"))


@needs_pulumi
def test_a_proxy_is_not_in_the_way_of_pulumi(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, source: StackSource, closed: int
) -> None:
    """Its parts talk to one another over loopback, and gRPC would ask the proxy: here nobody listens on it."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    (source.directory / "__main__.py").write_text(
        "import os, pulumi\npulumi.export('direct', os.environ['NO_PROXY'])\npulumi.export('kept', os.environ['HTTPS_PROXY'])\n"
    )
    assert _PULUMI
    outputs = deploy(source, Engine(_PULUMI), cluster, deadline=100).outputs
    assert {"localhost", "127.0.0.1", "test-worker", "172.18.0.9"} <= set(outputs["direct"].split(","))
    assert outputs["kept"] == f"http://127.0.0.1:{closed}"


@needs_pulumi
def test_who_shares_the_passphrase_finds_the_stack_as_it_is(cluster: Cluster, source: StackSource) -> None:
    """Workers of xdist deploy one after the other: to one state, which nobody reads without the passphrase."""
    assert _PULUMI
    said: list[str] = []

    def deployed(passphrase: str) -> Stack:
        return deploy(source, Engine(_PULUMI), cluster, deadline=100, progress=said.append, passphrase=passphrase)

    first, second = deployed("shared"), deployed("shared")
    assert first.resources == second.resources
    assert ["hush", "hush"] == [each.outputs["nested"]["key"].reveal() for each in (first, second)]
    assert ["stack"] == [path.name for path in cluster.workdir.iterdir() if path.name.startswith("stack")]
    other = replace(source, config={"image": "another:2"})
    again = deploy(other, Engine(_PULUMI), cluster, deadline=100, passphrase="shared")
    assert ("another:2", "hush") == (again.outputs["image"], again.outputs["nested"]["key"].reveal())
    with pytest.raises(StackError, match="passphrase"):
        deployed("another")


@needs_pulumi
def test_no_secret_is_left_in_the_workspace(cluster: Cluster, source: StackSource) -> None:
    """Neither configuration nor state holds the secret's value in plain."""
    assert _PULUMI
    deploy(source, Engine(_PULUMI), cluster, deadline=100)
    files = [path for path in cluster.workdir.rglob("*") if path.is_file()]
    assert any("ciphertext" in path.read_text(errors="replace") for path in files)
    assert not any("hush" in path.read_text(errors="replace") for path in files)


@needs_pulumi
@pytest.mark.parametrize(("read", "exposed"), [("require_secret", False), ("require", True)])
def test_a_secret_that_the_program_took_for_plain_text_is_seen_in_the_state(
    cluster: Cluster, source: StackSource, read: str, exposed: bool
) -> None:
    """The exported state is searched where it is; a sample beside it shows that the search works."""
    (source.directory / "__main__.py").write_text(
        f"import pulumi\npulumi.export('url', pulumi.Output.concat('https://', pulumi.Config().{read}('key')))\n"
    )
    assert _PULUMI
    sample, *others = deploy(source, Engine(_PULUMI), cluster, deadline=100).exposed
    assert ("shop:key", f"{SAMPLE}.shop:key") == (sample.secret, sample.place)
    assert exposed == any(each.place.endswith(".outputs.url") for each in others)
    assert exposed == bool(others)


@needs_pulumi
def test_a_program_that_raises_in_a_callback_is_located(cluster: Cluster, source: StackSource) -> None:
    """File and line of a callback are told, although asyncio drops its frames, and no secret with them."""
    (source.directory / "__main__.py").write_text(
        "import pulumi\n"
        "def late(key):\n"
        "    raise ValueError(f'bad key {key}')\n"
        "pulumi.export('x', pulumi.Config().require_secret('key').apply(late))\n"
    )
    assert _PULUMI
    with pytest.raises(StackError, match=r"ValueError: bad key \[secret\] in .*__main__\.py, line 3") as caught:
        deploy(source, Engine(_PULUMI), cluster, deadline=100)
    assert "hush" not in str(caught.value)
    assert "site-packages" not in str(caught.value)


_CUSTOM = """
import pulumi

class Custom(pulumi.CustomResource):
    def __init__(self):
        super().__init__("shopdb:index:Table", "table", {"rows": 2})
"""
_USES = {
    "resource": f"{_CUSTOM}\nCustom()\n",
    "only while deploying": f"{_CUSTOM}\nif not pulumi.runtime.is_dry_run():\n    Custom()\n",
    "an invoke whose failure is caught": (
        "import pulumi\ntry:\n    pulumi.runtime.invoke('shopdb:index:ask', {}).value\nexcept Exception:\n    pass\n"
    ),
    "below a component": f"""{_CUSTOM}
class Part(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("shop:index:Part", "part")
        pulumi.ProviderResource("shopdb", "main", {{}}, pulumi.ResourceOptions(parent=self))
Part()
""",
}
_PLUGIN = """
import pathlib
import sys
from concurrent import futures

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    def CheckConfig(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def Create(self, request, context):
        return provider_pb2.CreateResponse(id="made", properties=request.properties)

    def Invoke(self, request, context):
        return provider_pb2.InvokeResponse()

    def Cancel(self, request, context):
        return empty_pb2.Empty()

pathlib.Path(__file__).with_name("started").touch()
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A provider of another kind is on PATH. The file is there once its plugin was started."""
    script = tmp_path / "plugins" / "pulumi-resource-shopdb"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\n{_PLUGIN}")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return script.with_name("started")


@needs_pulumi
@pytest.mark.parametrize("program", _USES.values(), ids=_USES)
def test_a_provider_of_another_kind_is_refused_before_its_plugin_is_started(
    cluster: Cluster, source: StackSource, started: Path, program: str
) -> None:
    """By the real engine, however the program uses it: the plugin's first line would leave a file."""
    (source.directory / "__main__.py").write_text(program)
    assert _PULUMI
    with pytest.raises(
        StackError, match=r"^provider shopdb \(urn:pulumi:dev::shop::.*pulumi:providers:shopdb::"
    ) as caught:
        deploy(source, Engine(_PULUMI), cluster, deadline=100)
    assert "is not a Kubernetes provider" in caught.value.message
    assert "--k8ssec-allow-provider shopdb=REASON" in caught.value.fix
    assert not started.exists()


@needs_pulumi
@pytest.mark.parametrize("ours", [True, False], ids=["deployed", "read"])
def test_an_allowed_provider_acts_and_is_told(cluster: Cluster, source: StackSource, started: Path, ours: bool) -> None:
    """On a cluster that is there as well: its preview starts plugins too."""
    (source.directory / "__main__.py").write_text(_USES["resource"])
    assert _PULUMI
    said: list[str] = []
    allowing = replace(source, providers={"shopdb": "has a database of its own for tests", "tls": "once was used"})
    stack = (deploy if ours else read_stack)(allowing, Engine(_PULUMI), cluster, deadline=100, progress=said.append)
    assert started.exists()
    assert [one.type for one in stack.resources] == ["shopdb:index:Table"]
    assert stack.providers == {"shopdb": "has a database of its own for tests"}
    assert said.count("stack: provider shopdb is allowed: has a database of its own for tests") == 1
    assert [line for line in said if "tls" in line and "was not used" in line]


@needs_pulumi
def test_no_other_stack_is_in_reach_of_a_reference(cluster: Cluster, source: StackSource) -> None:
    """The engine answers it itself, from the run's own backend, which holds none but this."""
    (source.directory / "__main__.py").write_text(
        "import pulumi\npulumi.export('x', pulumi.StackReference('organization/live/prod').get_output('y'))\n"
    )
    assert _PULUMI
    with pytest.raises(StackError, match="unknown stack") as caught:
        deploy(source, Engine(_PULUMI), cluster, deadline=100)
    assert "of-the-user" not in str(caught.value)


def test_nothing_is_deployed_to_a_cluster_that_is_not_ours(tmp_path: Path, source: StackSource) -> None:
    """A stack is only read where this run did not create the cluster."""
    cluster = cast("Cluster", _Cluster(tmp_path, ours=False))
    with pytest.raises(StackError, match="was not created by this run"):
        deploy(source, Engine(tmp_path / "pulumi"), cluster)


def test_another_language_needs_its_host(cluster: Cluster, source: StackSource) -> None:
    """A program in another language without its language host is an error that names what is missing."""
    (source.directory / "Pulumi.yaml").write_text("name: shop\nruntime: cobol\n")
    with pytest.raises(StackError, match="pulumi-language-cobol is not there"):
        deploy(source, Engine(cluster.workdir / "pulumi"), cluster)


@pytest.mark.parametrize(("total", "more"), [(0, 0), (100, 0), (1003, 903)])
def test_many_objects_are_given_time(total: int, more: float) -> None:
    """A second each, beyond what any stack has; and what is told of a deadline that came is the whole of it."""
    asked: list[float] = []
    operations = SimpleNamespace(_seconds=100, worker=SimpleNamespace(put_off=asked.append))
    _Operations.allow_for(cast("_Operations", operations), total)
    assert ([more], 100 + more) == (asked, operations._seconds)
