"""Which host runs a program, and how ours starts one in Node.js."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2

from pytest_k8ssec.errors import StackError, ToolMissing
from pytest_k8ssec.stack import StackSource, prepare
from pytest_k8ssec.stack.hosts import find_host
from pytest_k8ssec.stack.node_host import run_arguments, run_environment

_RUNNER = Path("node_modules", "@pulumi", "pulumi", "cmd", "run")


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory of a project."""
    (tmp_path / "infra").mkdir()
    return tmp_path / "infra"


def _host(project: Path, runtime: str, path: str = "") -> Path | None:
    (project / "Pulumi.yaml").write_text(f"name: shop\nruntime: {runtime}\n")
    if runtime == "python":
        (project / "__main__.py").touch()
    source = StackSource(project, "dev")
    return find_host(prepare(source), project.parent / "bin" / "pulumi", path, project.parent / "hosts")


@pytest.mark.parametrize("place", ["on-path", "bin"])
def test_a_host_that_is_there_runs_the_program(project: Path, place: str) -> None:
    """On PATH, or beside Pulumi, where the engine finds it as well."""
    there = _program(project.parent / place / "pulumi-language-yaml")
    assert there == _host(project, "yaml", str(project.parent / "on-path"))


def test_only_python_needs_no_host(project: Path) -> None:
    """Its program runs inside the child; of another language the error names the host."""
    assert _host(project, "python") is None
    with pytest.raises(StackError, match="pulumi-language-go is not there"):
        _host(project, "go")


def test_a_node_program_without_a_host_is_run_by_ours(project: Path) -> None:
    """With the Node.js on PATH and the runner of the SDK that is installed nearest above the program."""
    (project.parent / _RUNNER).mkdir(parents=True)
    node = _program(project.parent / "on-path" / "node")
    made = _host(project, "nodejs", str(node.parent))
    assert made == project.parent / "hosts" / "pulumi-language-nodejs"
    assert os.access(made, os.X_OK)
    assert f"pytest_k8ssec.stack.node_host {node} {project.parent / _RUNNER}" in made.read_text()


def test_what_a_node_program_lacks_is_named(project: Path) -> None:
    """Node.js itself, or the project's packages."""
    with pytest.raises(ToolMissing, match="node: is not on PATH"):
        _host(project, "nodejs")
    node = _program(project.parent / "on-path" / "node")
    with pytest.raises(StackError, match="packages are not installed") as caught:
        _host(project, "nodejs", str(node.parent))
    assert caught.value.fix == f"run `npm install` in {project}"


def _request() -> language_pb2.RunRequest:
    options = struct_pb2.Struct()
    options.update({"tsconfig": "tsconfig.pulumi.json"})
    return language_pb2.RunRequest(
        project="shop",
        stack="dev",
        organization="organization",
        monitor_address="127.0.0.1:1",
        parallel=16,
        dryRun=True,
        config={"shop:image": "busybox", "shop:key": "hush"},
        configSecretKeys=["shop:key"],
        args=["one"],
        info=language_pb2.ProgramInfo(
            root_directory="/infra", program_directory="/infra/src", entry_point=".", options=options
        ),
    )


def test_the_runner_is_told_what_the_engine_asks_for() -> None:
    """Options come in words of their own, and the program after them."""
    told = list(run_arguments(_request(), "127.0.0.1:2"))
    assert told[-3:] == ["--dry-run", ".", "one"]
    options = dict(zip(told[:-3:2], told[1:-3:2], strict=True))
    assert options == {
        "--monitor": "127.0.0.1:1",
        "--engine": "127.0.0.1:2",
        "--organization": "organization",
        "--project": "shop",
        "--root-directory": "/infra",
        "--stack": "dev",
        "--pwd": "/infra/src",
        "--parallel": "16",
    }


def test_configuration_comes_by_variables() -> None:
    """Arguments can be read by others on the machine."""
    told = dict(run_environment(_request()))
    assert json.loads(told["PULUMI_CONFIG"]) == {"shop:image": "busybox", "shop:key": "hush"}
    assert json.loads(told["PULUMI_CONFIG_SECRET_KEYS"]) == ["shop:key"]
    assert told["PULUMI_NODEJS_TYPESCRIPT"] == "true"
    assert told["PULUMI_NODEJS_TSCONFIG_PATH"] == "tsconfig.pulumi.json"
    assert not [word for word in run_arguments(_request(), "") if "hush" in word]


@pytest.mark.parametrize(("code", "bail"), [(0, False), (1, False), (32, True)])
def test_the_programs_end_is_told(tmp_path: Path, code: int, bail: bool) -> None:
    """An exit code is an error, unless the runner has said by itself what failed."""
    import grpc
    from pulumi.runtime.proto import language_pb2_grpc

    runner = tmp_path / "runner"
    runner.write_text(f"import sys; sys.exit({code})")
    command = [sys.executable, "-P", "-m", "pytest_k8ssec.stack.node_host", sys.executable, str(runner), "127.0.0.1:2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        try:
            assert host.stdout
            with grpc.insecure_channel(f"127.0.0.1:{host.stdout.readline().strip()}") as channel:
                request = language_pb2.RunRequest(pwd=str(tmp_path))
                answer = language_pb2_grpc.LanguageRuntimeStub(channel).Run(request, timeout=20)
        finally:
            host.kill()
    assert (answer.bail, answer.error) == (bail, "program exited with exit code 1" if code == 1 else "")
