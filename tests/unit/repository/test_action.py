"""The composite action: what its shell steps run, with programs in their places that write down how they were called."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
_PIN = re.compile(r"[\w./-]+@[0-9a-f]{40}")
_INPUT = re.compile(r"\$\{\{ inputs\.([a-z-]+) \}\}")
_PROGRAM = """#!/bin/bash
printf '%s' "${0##*/}" >>"$CALLS"
printf ' [%s]' "$@" >>"$CALLS"
echo >>"$CALLS"
[ "${0##*/} $1" != "$FAILS" ]
"""


def action() -> dict[str, Any]:
    """What GitHub reads."""
    told: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return told


def calls(folder: Path, *, fails: str = "", **inputs: str) -> list[str]:
    """What its steps call, in order, until one fails."""
    given = {name: str(each["default"]) for name, each in action()["inputs"].items()} | {
        name.replace("_", "-"): value for name, value in inputs.items()
    }
    written = folder / "calls"
    written.touch()
    for name in ("python3", "k8ssec", "pytest"):
        program = folder / name
        program.write_text(_PROGRAM)
        program.chmod(0o755)
    for step in action()["runs"]["steps"]:
        if "run" in step:
            values = {
                name: _INPUT.sub(lambda found: given[found[1]], value) for name, value in step.get("env", {}).items()
            }
            environ = {**os.environ, **values, "PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(written)}
            # As GitHub runs `shell: bash`.
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            if subprocess.run(command, env={**environ, "FAILS": fails}, timeout=20, check=False).returncode:
                break
    return written.read_text().splitlines()


def test_it_checks_looks_and_runs(tmp_path: Path) -> None:
    """With nothing said: the project's requirements, its own settings, and a report in each form."""
    assert calls(tmp_path) == [
        "python3 [-m] [pip] [install] [--quiet] [--requirement] [requirements.txt]",
        "k8ssec [config] [check]",
        "k8ssec [doctor]",
        "pytest [--k8ssec-report] [build/k8ssec] [--junitxml] [build/k8ssec/junit.xml]",
    ]


def test_arguments_are_words_and_nothing_of_them_is_run(tmp_path: Path) -> None:
    """In one line or in several; what a pull request may say ends in no shell."""
    *_, last = calls(tmp_path, arguments="--k8ssec-stack infra\n-k $(id) *\n", report="out; id")
    assert last.endswith("[--k8ssec-stack] [infra] [-k] [$(id)] [*]")
    assert "[out; id] [--junitxml] [out; id/junit.xml]" in last


@pytest.mark.parametrize("fails", ["k8ssec config", "k8ssec doctor"])
def test_no_cluster_is_made_where_something_is_wrong(tmp_path: Path, fails: str) -> None:
    """The step that says so is the last one."""
    assert calls(tmp_path, fails=fails)[-1].replace("[", "").replace("]", "").startswith(fails)


def test_it_takes_others_at_one_commit_and_puts_nothing_into_a_script() -> None:
    """Those that the workflows take too, at the same commit; a value in a script would be run."""
    steps = action()["runs"]["steps"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(_PIN.fullmatch(each) for each in used)
    ours = {
        pin.partition("@")[0]: pin
        for path in (ROOT / ".github/workflows").glob("*.yml")
        for pin in _PIN.findall(path.read_text())
    }
    assert [] == [each for each in used if ours.get(each.partition("@")[0], each) != each]
    assert [] == [step["run"] for step in steps if "${{" in step.get("run", "")]
    assert all(step["shell"] == "bash" for step in steps if "run" in step)


def test_each_input_is_used_and_told() -> None:
    """And none that is not declared."""
    text = (ROOT / "action.yml").read_text()
    named = set(re.findall(r"inputs\.([a-z-]+)", text))
    declared = action()["inputs"]
    assert named == set(declared)
    assert all(each["description"] for each in declared.values())
