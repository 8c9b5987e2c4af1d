"""What a killed run left on a cluster of somebody else's goes by its uid; whoever took its name stays."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_k8ssec.clusters import sweep
from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.machine import docker, ledger
from pytest_k8ssec.machine.ledger import Run
from tests.unit.machine.dockers import FakeDocker


class Server(http.server.ThreadingHTTPServer):
    """An API server that creates and deletes, and knows an object by its uid."""

    daemon_threads = True

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    """Its requests."""

    server: Server

    def log_message(self, *_: object) -> None:
        """Silence."""

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        """Create; a review has no uid, and a dry run leaves nothing."""
        path, _, query = self.path.partition("?")
        name = self._body()["metadata"].get("name", "")
        meta = {"name": name, "uid": f"uid-of-{name}"} if name else {}
        if name and not query:
            self.server.objects[f"{path}/{name}"] = meta["uid"]
        self._answer(201, {"metadata": meta})

    def do_DELETE(self) -> None:
        """Delete whom the precondition means."""
        there = self.server.objects.get(self.path)
        if there is None:
            self._answer(404, {})
        elif self._body()["preconditions"]["uid"] != there:
            self._answer(409, {})
        else:
            self.server.objects = {key: uid for key, uid in self.server.objects.items() if not within(key, self.path)}
            self._answer(200, {})


def within(path: str, place: str) -> bool:
    """Whether an object goes with another."""
    return path == place or path.startswith(f"{place}/")


@pytest.fixture
def server() -> Iterator[Server]:
    """An API server."""
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever)
        thread.start()
        yield started
        started.shutdown()
        thread.join()


@pytest.fixture
def run(server: Server) -> Run:
    """A run on a cluster of the user's, that has its kubeconfig where the sweep looks for it."""
    begun = Run.begin()
    where = f"http://127.0.0.1:{server.server_address[1]}"
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": where}}],
        "users": [{"name": "u", "user": {}}],
    }
    (begun.folder("cluster") / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    return begun


def kubeconfig_of(run: Run) -> Path:
    """Where it is."""
    return run.directory / "cluster" / "kubeconfig"


def working(run: Run) -> KubeApi:
    """The client that writes down what it makes."""
    return KubeApi(kubeconfig_of(run), made=lambda path, uid: run.made_object("users", path, uid))


def create(api: KubeApi, path: str, name: str, **params: str) -> None:
    """Have something created."""
    api.call("POST", path, body={"metadata": {"name": name}}, params=params)


NAMESPACES, PODS = "/api/v1/namespaces", "/api/v1/namespaces/ours/pods"


def test_what_was_made_goes_and_whoever_took_its_name_stays(server: Server, run: Run, fake_docker: FakeDocker) -> None:
    """By uids; what only passed, as a review or a dry run, is not written down."""
    fake_docker.container("users-control-plane", docker.KIND_LABEL, "users", created=1.0)
    api = working(run)
    create(api, NAMESPACES, "ours")
    create(api, PODS, "a")
    create(api, "/apis/rbac/v1/bindings", "taken")
    create(api, "/apis/rbac/v1/bindings", "dry", dryRun="All")
    create(api, "/apis/authorization.k8s.io/v1/reviews", "")
    server.objects["/apis/rbac/v1/bindings/taken"] = "somebody-elses"
    server.objects[f"{NAMESPACES}/ours-too"] = "somebody-elses"
    run.release()
    assert 3 == len(ledger.read_run(run.directory).objects)
    (swept,) = sweep.sweep()
    assert "" == swept.failure
    assert (f"{NAMESPACES}/ours",) == swept.removed, "the pod went with its namespace"
    assert {"/apis/rbac/v1/bindings/taken", f"{NAMESPACES}/ours-too"} == set(server.objects)
    assert ["users-control-plane"] == fake_docker.containers
    assert not run.directory.exists()


@pytest.mark.parametrize("anew", [True, False], ids=["made-anew", "gone"])
def test_a_cluster_that_is_another_by_now_is_not_asked(
    server: Server, run: Run, fake_docker: FakeDocker, anew: bool
) -> None:
    """What was made went with the cluster that had it."""
    if anew:
        fake_docker.container("users-control-plane", docker.KIND_LABEL, "users")
    create(working(run), NAMESPACES, "ours")
    run.release()
    (swept,) = sweep.sweep()
    assert ("", ()) == (swept.failure, swept.removed)
    assert {f"{NAMESPACES}/ours"} == set(server.objects)


def test_a_cluster_that_does_not_answer_is_told(server: Server, run: Run, fake_docker: FakeDocker) -> None:
    """The record stays for the next sweep."""
    fake_docker.container("users-control-plane", docker.KIND_LABEL, "users", created=1.0)
    create(working(run), NAMESPACES, "ours")
    text = kubeconfig_of(run).read_text()
    kubeconfig_of(run).write_text(text.replace(f":{server.server_address[1]}", ":9"))  # nobody listens there
    run.release()
    (swept,) = sweep.sweep()
    assert "no answer" in swept.failure
    assert run.directory.exists()
