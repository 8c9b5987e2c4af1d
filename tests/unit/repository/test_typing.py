"""What a team's type checker says of its tests, with the package installed from its wheel and not from this checkout."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_k8ssec.plugin import fixtures
from tests.pages import REPOSITORY
from tests.unit.reports.forms.test_forms import attack, report, result

USER = REPOSITORY / "tests" / "typing" / "user.py"


def internal(name: str) -> bool:
    """Whether a fixture is no user's business."""
    return name.startswith(("_", "k8ssec_"))


def types_of_fixtures() -> Mapping[str, str]:
    """The type of each fixture as its source has it: pytest's decorator hides it from mypy."""
    return {
        node.name: ast.unparse(node.returns)
        for node in ast.parse(inspect.getsource(fixtures)).body
        if isinstance(node, ast.FunctionDef)
        and node.returns
        and not internal(node.name)
        and any("pytest.fixture" in ast.unparse(each) for each in node.decorator_list)
    }


def asked() -> list[tuple[str, str]]:
    """What tests and controls of user.py ask for, with the types that they give it."""
    tests = [node for node in ast.parse(USER.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    return [
        (argument.arg, ast.unparse(argument.annotation))
        for test in tests
        if test.name.startswith("test_")
        for argument in test.args.args
        if argument.annotation
    ]


def test_a_users_tests_ask_for_every_fixture_under_its_type() -> None:
    """A fixture that is added must be there as well."""
    assert types_of_fixtures() == dict(asked())
    assert set(asked()) == set(types_of_fixtures().items())
    assert {"cluster", "judge", "nodes"} < set(types_of_fixtures())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and for all else the packages of this one."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=REPOSITORY,
        check=True,
        timeout=120,
        capture_output=True,
    )
    venv.create(place / "venv", with_pip=False)
    python = place / "venv" / "bin" / "python"
    ours = sysconfig.get_path("purelib", "venv", {"base": str(place / "venv")})
    (wheel,) = place.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), ours], check=True, timeout=60)
    # A folder that a .pth file names is searched, but its own .pth files are not: so not the one that leads to this checkout.
    (Path(ours) / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def checked(python: Path, folder: Path, *files: Path) -> str:
    """What ``mypy --strict`` says of files there."""
    said = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--python-executable={python}",
         f"--cache-dir={REPOSITORY / '.mypy_cache' / 'installed'}", *map(str, files)],
        cwd=folder, check=False, timeout=600, capture_output=True, text=True,
    )  # fmt: skip
    assert not said.stderr
    return said.stdout


def test_the_wheel_brings_its_templates(installed: Path, tmp_path: Path) -> None:
    """A page is made from what the wheel has."""
    (tmp_path / "report.json").write_text(json.dumps(report(result(attacks=[attack("x")]))), encoding="utf-8")
    command = [str(installed), "-m", "pytest_k8ssec.cli", "report", ".", "--form", "html"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert "net-door" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_wheel_brings_its_types(installed: Path, tmp_path: Path) -> None:
    """No error in what users write; no fixture is ``Any`` to them; and what is wrong is found."""
    code = "import pytest_k8ssec; print(pytest_k8ssec.__file__)"
    where = subprocess.run(
        [installed, "-c", code], cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True
    )
    assert Path(where.stdout.strip()).is_relative_to(installed.parents[1])
    user, shown, wrong = (tmp_path / name for name in ("test_user.py", "test_shown.py", "test_wrong.py"))
    user.write_text(USER.read_text(encoding="utf-8"), encoding="utf-8")
    found = types_of_fixtures()
    shown.write_text(
        "from __future__ import annotations\nfrom collections.abc import Callable, Mapping\nfrom pytest_k8ssec import *\n"
        + "".join(
            f"def test_{name}({name}: {type_}) -> None:\n    reveal_type({name})\n" for name, type_ in found.items()
        ),
        encoding="utf-8",
    )
    wrong.write_text(
        "from pytest_k8ssec import Cluster\n\n\ndef test_wrong(cluster: Cluster) -> None:\n    cluster.apis.get('/api')\n",
        encoding="utf-8",
    )
    said = checked(installed, tmp_path, user, shown, wrong)
    revealed = re.findall(r'test_shown\.py:\d+: note: Revealed type is "(.*)"', said)
    assert len(found) == len(revealed)
    assert not [each for each in revealed if "Any" in each]
    (error,) = (line for line in said.splitlines() if ": error: " in line)
    assert re.match(r'test_wrong\.py:5: error: "Cluster" has no attribute "apis"', error)
