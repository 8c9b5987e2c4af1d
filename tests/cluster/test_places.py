"""In which line an object is declared, by a real run of Pulumi: moving a program down moves each place as far.

No cluster is needed: the provider writes its objects into a folder.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_k8ssec.machine import tools
from pytest_k8ssec.secrecy.redact import redact
from pytest_k8ssec.stack import Engine, StackSource, Workspace, prepare
from pytest_k8ssec.stack.messages import Finished
from pytest_k8ssec.stack.positions import lines_of_yaml, places
from pytest_k8ssec.stack.source import project_file
from pytest_k8ssec.stack.worker import Worker

_SECONDS = 120
_MOVED = 7
_MAIN = """\
import pulumi
import pulumi_kubernetes as k8s
from team import Team, bare

into = k8s.Provider("into", render_yaml_to_directory="{folder}")
there = pulumi.ResourceOptions(provider=into)
k8s.core.v1.ConfigMap("own", metadata={{"name": "own"}}, opts=there)
bare("of-a-function", there)
Team("component", there)
k8s.yaml.v2.ConfigGroup(
    "group", yaml="apiVersion: v1\\nkind: ConfigMap\\nmetadata: {{name: of-a-manifest}}\\n", opts=there
)
pulumi.Output.from_input("x").apply(
    lambda _: k8s.core.v1.ConfigMap("later", metadata={{"name": "later"}}, opts=there)
)
"""
_TEAM = """\
import pulumi
import pulumi_kubernetes as k8s


def bare(name, there):
    k8s.core.v1.ConfigMap(name, metadata={"name": name}, opts=there)


class Team(pulumi.ComponentResource):
    def __init__(self, name, opts):
        super().__init__("k8ssec:test:Team", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        k8s.core.v1.ConfigMap("of-a-component", metadata={"name": "of-a-component"}, opts=inside)
"""
_IN_PYTHON = {
    "own": "__main__.py:7",
    "of-a-function": "team.py:6",
    "of-a-component": "team.py:13",
    "group:default/of-a-manifest": "Pulumi.yaml",
    "later": "__main__.py:14",
}
_YAML = """\
name: places
runtime: yaml
resources:
  into:
    type: pulumi:providers:kubernetes
    properties: {{renderYamlToDirectory: {folder}}}
  one:
    type: kubernetes:core/v1:ConfigMap
    properties: {{metadata: {{name: one}}}}
    options: {{provider: "${{into}}"}}
  group:
    type: kubernetes:yaml/v2:ConfigGroup
    properties:
      yaml: "apiVersion: v1\\nkind: ConfigMap\\nmetadata: {{name: of-a-manifest}}\\n"
    options: {{provider: "${{into}}"}}
"""
_IN_YAML = {"one": "Pulumi.yaml:7", "group:default/of-a-manifest": "Pulumi.yaml:11"}


def _declared(program: Path, folder: Path) -> dict[str, str]:
    """Where each ConfigMap of a program is declared, by its name in the program; seen from there."""
    folder.mkdir()
    provider = tools.find_provider()
    engine = Engine(
        tools.find_tool("pulumi").path, provider.path.parent if provider else None, None, tools.language_host_dirs()
    )
    prepared = prepare(StackSource(program, "dev"))
    workspace = Workspace(prepared, engine, folder, "")
    with Worker(env=workspace.env, deadline=time.monotonic() + _SECONDS, hide=redact, early=None) as worker:
        (done,) = [each for each in worker.run(workspace.job("up")) if isinstance(each, Finished)]
    by_name = lines_of_yaml(program) if prepared.project.runtime == "yaml" else {}
    found = places(done.state, by_name, project_file(program))
    return {
        urn.rpartition("::")[2]: str(Path(place).relative_to(program))
        for urn, place in found.items()
        if "ConfigMap::" in urn
    }


def _moved(expected: dict[str, str]) -> dict[str, str]:
    def moved(place: str) -> str:
        file, _, line = place.partition(":")
        return f"{file}:{int(line) + _MOVED}" if line else file

    return {name: moved(place) for name, place in expected.items()}


@pytest.mark.parametrize("language", ["python", "yaml"])
def test_each_object_is_found_in_the_line_that_declares_it(language: str, tmp_path: Path) -> None:
    """Its own line, in whichever file; else its parent's, else the project's file. Seven lines down it is seven lines on."""
    folder = tmp_path / "objects"
    in_python = {
        "__main__.py": _MAIN.format(folder=folder),
        "team.py": _TEAM,
        "Pulumi.yaml": "name: places\nruntime: python\n",
    }
    files = in_python if language == "python" else {"Pulumi.yaml": _YAML.format(folder=folder)}
    expected = _IN_PYTHON if language == "python" else _IN_YAML
    for name, before, want in (("as-it-is", "", expected), ("moved", "#\n" * _MOVED, _moved(expected))):
        program = tmp_path / name
        program.mkdir()
        for file, text in files.items():
            (program / file).write_text(before + text)
        assert _declared(program, tmp_path / f"work-{name}") == want
