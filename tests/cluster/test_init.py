"""What ``k8ssec init`` writes, in a project that has a stack and nothing else: its first test holds, and notices a mistake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cluster.harness import Place

STACK = Path(__file__).parents[2] / "stacks" / "plain"
MISTAKE = """
k8s.rbac.v1.RoleBinding(
    "oops",
    metadata=ObjectMetaArgs(name="oops", namespace="shop"),
    role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
    subjects=[{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}],
    opts=inside,
)
"""


def test_the_first_test_of_a_project_can_hold_and_fail(place: Place) -> None:
    """By the command that was printed: held as the stack is, breached once its default account may edit."""
    place.thaws = True
    stack = place.project / "infra"
    shutil.copytree(STACK, stack)
    begun = place.k8ssec("init")
    assert begun.end(60) == 1, begun.output  # only the team knows the image
    assert "missing: config value plain:image" in begun.output
    settings = place.project / "pyproject.toml"
    settings.write_text(re.sub(r'^# (".*" = )"\.\.\."', r'\1"{probe_image}"', settings.read_text(), flags=re.MULTILINE))
    (command,) = re.findall(r"^  pytest (tests/\S+) +# the first verdict", begun.output, re.MULTILINE)
    assert _verdict(place, command, pytest.ExitCode.OK) == "held"
    with (stack / "__main__.py").open("a") as program:
        program.write(MISTAKE)
    assert _verdict(place, command, pytest.ExitCode.TESTS_FAILED) == "breached"
    assert [] == place.containers()


def _verdict(place: Place, test: str, code: pytest.ExitCode) -> str:
    done = place.pytest(test)
    assert code == done.end(300), done.output
    (result,) = json.loads((place.project / "build" / "k8ssec" / "report.json").read_text())["results"]
    return str(result["verdict"])
