"""Whatever a user gets wrong: a message that names culprit, cause and what fixes it, and the right exit code."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_k8ssec.machine import ledger, tools
from tests.cluster.harness import ONE_NODE, Place, still_running

FAILED, USAGE = 1, 4

ON_CLUSTER = "def test_it(cluster): pass\n"
ON_STACK = "def test_it(stack): pass\n"

INTERNAL = ("Traceback", "pytest_k8ssec/", "site-packages", "INTERNALERROR", "_pytest", "subprocess.")
"""What a user must never be shown."""

FIXES = ("fix: ", "is not one of ", "is not of the form ")
"""What tells a user how to go on: a line of its own, or the cause itself where that says what is right."""

NO_RIGHTS = """
import ctypes, os
# Root may open any socket by CAP_DAC_OVERRIDE, which no command started from here on shall get (PR_CAPBSET_DROP).
if os.geteuid() == 0:
    assert ctypes.CDLL(None, use_errno=True).prctl(24, 1, 0, 0, 0) == 0
"""

PULUMI_YAML = "name: infra\nruntime: python\n"

RAISES = """
import pulumi_kubernetes as k8s

def region():
    raise ValueError("no region is called eu-moon")

k8s.core.v1.Namespace("web", metadata={"name": region()})
"""

REQUIRES = """
import pulumi

pulumi.Config().require("region")
"""

ELSEWHERE = """
import json
import pulumi
import pulumi_kubernetes as k8s

kubeconfig = {
    "apiVersion": "v1", "kind": "Config", "current-context": "production",
    "clusters": [{"name": "production", "cluster": {"server": "SERVER"}}],
    "contexts": [{"name": "production", "context": {"cluster": "production", "user": "admin"}}],
    "users": [{"name": "admin", "user": {"token": "s3cr3t-of-production"}}],
}
production = k8s.Provider("production", kubeconfig=json.dumps(kubeconfig))
k8s.core.v1.Namespace("web", metadata={"name": "web"}, opts=pulumi.ResourceOptions(provider=production))
"""

NEVER_READY = """
import pulumi
import pulumi_kubernetes as k8s

image = pulumi.Config().require("image")
web = k8s.core.v1.Namespace("web", metadata={"name": "web"})
labels = {"app": "shop"}
k8s.apps.v1.Deployment(
    "shop",
    metadata={"name": "shop", "namespace": web.metadata["name"], "annotations": {"pulumi.com/timeoutSeconds": "15"}},
    spec={
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "shop", "image": image, "command": ["/no/such/shop"]}]},
        },
    },
)
"""


def told(
    place: Place,
    code: int,
    *arguments: str,
    test: str = ON_CLUSTER,
    environ: Mapping[str, str] | None = None,
) -> str:
    """What pytest says of one test: with that exit code, something to fix, and nothing of how we work inside."""
    run = place.pytest(str(place.file("test_it.py", test)), *arguments, environ=environ)
    assert code == run.end(), run.output
    for word in INTERNAL:
        assert word not in run.output, f"{word}:\n{run.output}"
    assert any(word in run.output for word in FIXES), run.output
    return run.output


def stack(place: Place, program: str, project: str = PULUMI_YAML) -> list[str]:
    """Options that name a stack with this program, and a cluster of one node."""
    place.file("infra/Pulumi.yaml", project)
    place.file("infra/__main__.py", program)
    return [f"--k8ssec-stack={place.project / 'infra'}", f"--k8ssec-kind-config={place.kind_config}"]


def assert_nothing_left(place: Place) -> None:
    """No run is recorded, which it is until all of it is gone, and no process runs."""
    assert [] == ledger.recorded(place.state)
    assert [] == still_running(place)


def no_cluster_was_begun(output: str) -> bool:
    """Whether the error came before any cluster was made."""
    return "creating kind cluster" not in output


# -- known from the settings alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--k8ssec-keep=sometimes"], "--k8ssec-keep: 'sometimes' is not one of never, on-failure, always"),
        (["--k8ssec-strict=onn"], "did you mean 'on'?"),
        (["--k8ssec-kubernetes-version=newest"], "--k8ssec-kubernetes-version: 'newest' is not a Kubernetes version"),
        (["--k8ssec-config=region"], "--k8ssec-config: 'region' is not of the form KEY=VALUE"),
        (["--k8ssec-secret=password="], "--k8ssec-secret: 'password=' is not of the form KEY=ENVVAR"),
        (["--k8ssec-sabotage", "--k8ssec-cluster=dev"], "--k8ssec-sabotage with --k8ssec-cluster dev: refused"),
        (["--k8ssec-stack=nowhere"], "nowhere: does not exist"),
        (["--k8ssec-stack=."], "project: has no Pulumi.yaml"),
        (["--k8ssec-kind-config=nowhere.yaml"], "nowhere.yaml: does not exist"),
        (["--k8ssec-config-file=nowhere.yaml"], "nowhere.yaml: does not exist"),
    ],
    ids=lambda given: given[0].partition("=")[0] if isinstance(given, list) else "",
)
def test_wrong_option(place: Place, arguments: list[str], expected: str) -> None:
    """An option that can't be right is a usage error, whatever the tests are."""
    output = told(place, USAGE, *arguments)
    assert expected in output


def test_wrong_value_from_the_environment(place: Place) -> None:
    """A wrong value names the variable that it came from."""
    assert "K8SSEC_KEEP: 'sometimes'" in told(place, USAGE, environ={"K8SSEC_KEEP": "sometimes"})


def test_unknown_key_in_pyproject(place: Place) -> None:
    """An unknown key names its table, and what was meant."""
    place.file("pyproject.toml", '[tool.k8ssec]\nkind-confg = "kind.yaml"\n')
    output = told(place, USAGE)
    assert "[tool.k8ssec] kind-confg: no such setting" in output
    assert "did you mean 'kind-config'?" in output


# -- docker -----------------------------------------------------------------------------------------------------------


def test_no_docker_daemon(place: Place) -> None:
    """Where no daemon answers, that is said with what starts one."""
    output = told(place, FAILED, environ={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert "docker daemon: none answers" in output
    assert "fix: start docker" in output


def test_no_docker_client(place: Place, tmp_path: Path) -> None:
    """Where there is no client on PATH, that is said with what installs one."""
    empty = tmp_path / "empty"
    empty.mkdir()
    output = told(place, FAILED, environ={"PATH": str(empty)})
    assert "docker: no client on PATH" in output
    assert "fix: install docker" in output


@pytest.mark.skipif(os.geteuid() == 0 and sys.platform != "linux", reason="only Linux takes a right away from root")
def test_docker_without_rights(place: Place) -> None:
    """A socket that this user may not open is told from a daemon that is not there."""
    path = place.project / "d.sock"
    short = Path(os.path.relpath(path)) if len(str(path)) > 100 else path  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(short))
        path.chmod(0)
        place.file("conftest.py", NO_RIGHTS)
        output = told(place, FAILED, environ={"DOCKER_HOST": f"unix://{path}"})
    assert "docker daemon: this user may not use its socket" in output
    assert "`docker` group" in output


# -- clusters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: [Cluster\n", "is not valid YAML"),
        ("kind: Pod\napiVersion: v1\n", "is not a kind cluster"),
        ("- kind: Cluster\n", "must be a mapping, is list"),
        (f"{ONE_NODE}nodes: 3\n", "`nodes` must be a list"),
        (
            f"{ONE_NODE}nodes: [{{role: control-plane, extraMounts: [{{hostPath: nowhere, containerPath: /x}}]}}]\n",
            "extraMounts names 'nowhere', which does not exist",
        ),
        (
            f"{ONE_NODE}nodes: [{{role: boss}}]\n",
            """kind refuses it: [invalid configuration for node 0: "boss" is not a valid node role""",
        ),
        (f"{ONE_NODE}networks: {{}}\n", "field networks not found"),
    ],
    ids=["no-yaml", "no-cluster", "no-mapping", "no-nodes", "no-mount", "refused-role", "refused-field"],
)
def test_invalid_kind_config(place: Place, text: str, expected: str) -> None:
    """A kind configuration that is none is named, with what is wrong with it, if need be in kind's words."""
    path = place.file("wrong.yaml", text)
    output = told(place, FAILED, f"--k8ssec-kind-config={path}")
    assert f"kind config {path}: " in output
    assert expected in output
    assert_nothing_left(place)


def test_image_that_does_not_exist(place: Place) -> None:
    """A node image that is nowhere is known within seconds, before anything is made."""
    output = told(place, FAILED, "--k8ssec-node-image=nope:1", f"--k8ssec-kind-config={place.kind_config}")
    assert "image nope:1: " in output
    assert "fix: check the name" in output
    assert no_cluster_was_begun(output)


def test_kubernetes_version_that_is_not_pinned(place: Place) -> None:
    """A version without an image names those that have one."""
    output = told(place, FAILED, "--k8ssec-kubernetes-version=1.3", f"--k8ssec-kind-config={place.kind_config}")
    assert "node image for Kubernetes 1.3: none is pinned" in output
    assert "choose one of v1." in output


def test_unknown_cluster(place: Place) -> None:
    """The name of a kind cluster that does not exist is told, and not made."""
    output = told(place, FAILED, "--k8ssec-cluster=there-is-none")
    assert "kind cluster 'there-is-none': does not exist" in output


# -- stacks: what is known without a cluster --------------------------------------------------------------------------


def test_declared_config_value_that_nobody_gave(place: Place) -> None:
    """A value that Pulumi.yaml declares and nobody gave is known before a cluster is made."""
    given = stack(place, "", f"{PULUMI_YAML}config:\n  region:\n    type: string\n")
    output = told(place, FAILED, *given, test=ON_STACK)
    assert "config value infra:region is required and was not given" in output
    assert "--k8ssec-config infra:region=VALUE" in output
    assert no_cluster_was_begun(output)


def test_secret_whose_variable_is_not_set(place: Place) -> None:
    """A secret's variable that is not set is named, with the value that wanted it."""
    output = told(place, FAILED, *stack(place, ""), "--k8ssec-secret=password=NO_SUCH_VARIABLE", test=ON_STACK)
    assert "environment variable NO_SUCH_VARIABLE: is not set" in output
    assert "infra:password" in output
    assert no_cluster_was_begun(output)


def test_no_stack_named(place: Place) -> None:
    """A test that asks for a stack where none was named says how to name one."""
    output = told(place, FAILED, f"--k8ssec-kind-config={place.kind_config}", test=ON_STACK)
    assert "stack: none was named" in output
    assert "--k8ssec-stack DIR" in output
    assert no_cluster_was_begun(output)


# -- stacks: what only Pulumi and a cluster tell ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """A cluster that is there, for what a preview tells; and the place whose ledger it is in."""
    place = Place(tmp_path_factory.mktemp("kept"), tools.cache_root())
    name = f"k8ssec-kept-{os.getpid()}"
    try:
        up = place.k8ssec("up", f"--kind-config={place.kind_config}", f"--name={name}")
        assert 0 == up.end(), up.output
        yield place, name
    finally:
        place.clean_up()
        shutil.rmtree(place.state)


def on_kept(place: Place, kept: tuple[Place, str], program: str) -> str:
    """What pytest says of a stack on the cluster that is there."""
    where, *_ = stack(place, program)
    return told(place, FAILED, where, f"--k8ssec-cluster={kept[1]}", test=ON_STACK)


def test_program_that_raises(place: Place, kept: tuple[Place, str]) -> None:
    """A program that raises is shown at its own line, and without the frames of whoever called it."""
    output = on_kept(place, kept, RAISES)
    file = place.project / "infra" / "__main__.py"
    assert f"its program raised ValueError: no region is called eu-moon in {file}, line 5" in output
    assert "runpy" not in output


def test_config_value_that_the_program_requires(place: Place, kept: tuple[Place, str]) -> None:
    """A value that only the program knows to be required is named as a declared one is."""
    output = on_kept(place, kept, REQUIRES)
    assert "config value infra:region is required and was not given" in output
    assert "--k8ssec-config infra:region=VALUE" in output


def test_provider_of_another_cluster(place: Place) -> None:
    """A provider that points elsewhere is refused before anything is created, here or there; its token is not shown."""
    with another_server() as (address, changes):
        output = told(place, FAILED, *stack(place, ELSEWHERE.replace("SERVER", address)), test=ON_STACK)
    assert "provider urn:pulumi:" in output
    assert f"it points to {address}" in output
    assert "nothing was created" in output
    assert "fix: let the provider use KUBECONFIG" in output
    assert "s3cr3t-of-production" not in output
    assert [] == changes
    assert_nothing_left(place)


@contextmanager
def another_server() -> Iterator[tuple[str, list[str]]]:
    """The address of an API server that is not the cluster's, and all requests that would have changed something."""
    changes: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def do_POST(self) -> None:
            changes.append(f"{self.command} {self.path}")
            self.send_error(503)

        do_PUT = do_PATCH = do_DELETE = do_POST

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", changes
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_workload_that_never_gets_ready(place: Place) -> None:
    """A workload that is not ready in its time is named, with what its pods and their events say; all of it goes."""
    given = stack(place, NEVER_READY)
    output = told(place, FAILED, *given, "--k8ssec-config=image={probe_image}", test=ON_STACK)
    assert "Deployment web/shop failed" in output
    assert "pod web/shop-" in output
    assert "/no/such/shop" in output
    assert "event Pod web/shop-" in output
    assert_nothing_left(place)
