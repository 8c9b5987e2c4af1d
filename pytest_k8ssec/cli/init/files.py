"""The files that ``init`` writes, as text; nothing is written here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

from pytest_k8ssec.cli.init.needs import Needs

TEST = "test_k8ssec.py"
MADE_UP = "made-up-for-the-test"
"""What stands for a secret in CI: the cluster is thrown away, and the value only has to be there."""
_PACKAGE = "pytest-k8ssec"
_REQUIREMENTS = "requirements.txt"


class Planned(NamedTuple):
    """A file that is to be there."""

    path: Path
    text: str
    by_hand: tuple[str, ...]
    """The lines to add where a file is there already; () where it does as it is."""


def pyproject_text(root: Path, stack: Path, needs: Needs, *, new: bool, known: Mapping[str, Any]) -> str:
    """What pyproject.toml is to say.

    Args:
        root: the folder of pyproject.toml.
        new: whether there is no such file yet.
        known: ``[tool.k8ssec]`` as it is: what it has is left out.
    """
    lines = list(_settings(root, stack, needs, known))
    if new:
        lines += ["", "[tool.pytest.ini_options]", 'testpaths = ["tests"]']
    return "".join(f"{line}\n" for line in lines)


def _settings(root: Path, stack: Path, needs: Needs, known: Mapping[str, Any]) -> Iterator[str]:
    wanted: dict[str, Any] = {"stack": _relative(stack, root), "controls": True, "report": "build/k8ssec"}
    if needs.config_file:
        wanted["config-file"] = _relative(needs.config_file, root)
    lacking = {key: value for key, value in wanted.items() if key not in known}
    if lacking:
        yield "[tool.k8ssec]"
        yield from (f"{key} = {_toml(value)}" for key, value in lacking.items())
    if needs.config:
        yield from ("", "[tool.k8ssec.config]")
        for key, place in needs.config.items():
            yield f'# {_toml(key)} = "..." # asked for by {place}; an image may be "{{probe_image}}", which has a Python'
    if needs.secrets:
        yield from ("", "[tool.k8ssec.secret] # the names of variables, never the values")
        yield from (f"{_toml(key)} = {_toml(variable)}" for key, variable in needs.secrets.items())


def first_test() -> str:
    """A test that asks something of every stack, and may fail on any."""
    return _template("first_test")


def github(root: Path, stack: Path, variables: Iterable[str]) -> str:
    """A workflow of GitHub Actions."""
    steps = [f"      - run: {command}" for command in _install(root, stack)]
    environment = [f"          {name}: {MADE_UP}" for name in variables]
    return _filled(
        "github",
        branch=_branch(root),
        install="\n".join(steps),
        environment="\n".join(["        env:", *environment] if environment else []),
    )


def gitlab(root: Path, stack: Path, variables: Iterable[str]) -> str:
    """A job of GitLab CI."""
    environment = [f"    {name}: {MADE_UP}" for name in variables]
    return _filled(
        "gitlab",
        install="\n".join(f"    - {command}" for command in _install(root, stack)),
        environment="\n".join(["  variables:", *environment] if environment else []),
    )


def out_of_reach_of_ci(root: Path, stack: Path) -> bool:
    """Whether CI can't get this package: no requirements name it, and it was installed from this machine's own files."""
    return not _named_in_requirements(root, stack) and not _origin()


def _install(root: Path, stack: Path) -> Iterator[str]:
    """How CI gets what the tests need."""
    wanted = [f"-r {_relative(path, root)}" for path in _requirements(root, stack)]
    if not _named_in_requirements(root, stack):
        origin = _origin()
        wanted += [f"'{origin}'"] if origin else [] if wanted else [f"-r {_REQUIREMENTS}"]
    yield " ".join(["pip install", *wanted])
    if (stack / "package-lock.json").is_file():
        yield f"npm ci --prefix {_relative(stack, root)}"


def _named_in_requirements(root: Path, stack: Path) -> bool:
    return any(_PACKAGE in path.read_text(errors="replace") for path in _requirements(root, stack))


def _requirements(root: Path, stack: Path) -> list[Path]:
    return [path for path in dict.fromkeys((root / _REQUIREMENTS, stack / _REQUIREMENTS)) if path.is_file()]


def _origin() -> str:
    """The requirement by which CI gets the same package; "" where it was installed from this machine's own files.

    Sources: https://packaging.python.org/en/latest/specifications/direct-url/
    """
    here = distribution(_PACKAGE)
    direct = json.loads(here.read_text("direct_url.json") or "{}")
    url = str(direct.get("url", ""))
    if not direct:
        return f"{_PACKAGE}=={here.version}"
    if "vcs_info" in direct:
        return f"{_PACKAGE} @ {direct['vcs_info']['vcs']}+{url}@{direct['vcs_info']['commit_id']}"
    return f"{_PACKAGE} @ {url}" if url.startswith("https:") else ""


def _branch(root: Path) -> str:
    """The remote's main branch, as git knows it here."""
    try:
        head = (root / ".git/refs/remotes/origin/HEAD").read_text(encoding="utf-8").strip()
    except OSError:
        return "main"
    return head.partition("refs/remotes/origin/")[2] or "main"


def _template(name: str) -> str:
    return resources.files(__package__).joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")


def _filled(name: str, **values: str) -> str:
    text = _template(name)
    for key, value in values.items():
        text = text.replace(f"<{key}>", value) if value else text.replace(f"<{key}>\n", "")
    return text


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _toml(value: object) -> str:
    """JSON's texts and truth values are TOML's too."""
    return json.dumps(value, ensure_ascii=False)
