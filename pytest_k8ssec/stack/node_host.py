"""A language host for Node.js programs, for machines that lack Pulumi's: ``python -m pytest_k8ssec.stack.node_host``.

It runs a program as Pulumi's own host does, by the runner in the project's SDK: the same resources, TypeScript too. It
knows nothing else: it installs no packages, lists no plugins and generates nothing.

Source: https://github.com/pulumi/pulumi/blob/master/sdk/nodejs/cmd/pulumi-language-nodejs/main.go
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_SAID_WHY = 32
"""The runner's exit code where it has told the user by itself what failed."""
_UNLIMITED = 64 << 20
"""Bytes of one message: a config may be large."""


class _Host(language_pb2_grpc.LanguageRuntimeServicer):
    """What the engine asks a language host."""

    def __init__(self, node: str, runner: str, engine: str) -> None:
        self._node, self._runner, self._engine = node, runner, engine
        self._running: subprocess.Popen[bytes] | None = None

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version="1.0.0")

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return language_pb2.GetRequiredPluginsResponse()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        if self._running is not None:
            self._running.terminate()
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Run the program to its end."""
        self._running = subprocess.Popen(
            [self._node, self._runner, *run_arguments(request, self._engine)],
            cwd=request.info.program_directory or request.pwd,
            env=os.environ | dict(run_environment(request)),
        )
        code = self._running.wait()
        if code == _SAID_WHY:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"program exited with exit code {code}" if code else "")


def run_arguments(request: Any, engine: str) -> Iterator[str]:
    """The runner's arguments for a RunRequest: one word for an option and one for its value, then the program.

    Args:
        engine: the engine's address.
    """
    options = {
        "monitor": request.monitor_address,
        "engine": engine,
        "organization": request.organization,
        "project": request.project,
        "root-directory": request.info.root_directory,
        "stack": request.stack,
        "pwd": request.info.program_directory or request.pwd,
        "parallel": str(request.parallel) if request.parallel else "",
    }
    for name, value in options.items():
        if value:
            yield from (f"--{name}", value)
    if request.dryRun:
        yield "--dry-run"
    yield request.info.entry_point or "."
    yield from request.args


def run_environment(request: Any) -> Iterator[tuple[str, str]]:
    """Variables by which the runner learns of a RunRequest's configuration, and of the project's runtime options."""
    yield "PULUMI_CONFIG", json.dumps(dict(request.config))
    yield "PULUMI_CONFIG_SECRET_KEYS", json.dumps(list(request.configSecretKeys))
    options = dict(request.info.options)
    yield "PULUMI_NODEJS_TYPESCRIPT", "true" if options.get("typescript", True) else "false"
    if tsconfig := options.get("tsconfig"):
        yield "PULUMI_NODEJS_TSCONFIG_PATH", str(tsconfig)


def serve(node: str, runner: str, engine: str) -> None:
    """Print the port, and answer until the process is ended."""
    limits = [("grpc.max_receive_message_length", _UNLIMITED), ("grpc.max_send_message_length", _UNLIMITED)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=limits)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(_Host(node, runner, engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - the engine reads it
    server.wait_for_termination()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[-1])
