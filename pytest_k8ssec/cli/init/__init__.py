"""``k8ssec init``: what a project needs to begin, written beside what it has and never over it.

``project`` finds the stack, ``needs`` what it has to be given (``program`` reads its source for that), ``files`` makes the texts.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any

from pytest_k8ssec.cli.init import files
from pytest_k8ssec.cli.init.files import Planned
from pytest_k8ssec.cli.init.needs import Needs, needs_of
from pytest_k8ssec.cli.init.project import find_stack, language_problem
from pytest_k8ssec.cli.say import say
from pytest_k8ssec.errors import K8ssecError, SettingsError
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.settings import Settings, pyproject_table, resolve_settings
from pytest_k8ssec.stack import Project, prepare, read_project
from pytest_k8ssec.testbed.stacks import source_of

_MISSING = 1
_GITHUB, _GITLAB, _GITLAB_OWN = ".github/workflows/k8ssec.yml", ".gitlab-ci.yml", ".gitlab/k8ssec.yml"


def init(arguments: argparse.Namespace) -> int:
    """Look at a project, write what it lacks, and tell all of it.

    Returns:
        1 where something is missing that only the project's team knows, else 0.

    Raises:
        SettingsError: the folder is none, its settings are wrong, or it has no Pulumi.yaml, or several.
        StackError: Pulumi.yaml, the program or the config file is not what Pulumi would accept.
    """
    root = Path(arguments.directory).absolute()
    if not root.is_dir():
        raise SettingsError(f"{arguments.directory}: is not a directory", fix="name the project's folder")
    pyproject = root / "pyproject.toml"
    table = pyproject_table(pyproject)
    settings = _settings(table, root)
    stack = find_stack(root, arguments.stack or settings.stack)
    settings = settings._replace(stack=stack)
    given.project(settings.stack, settings.stack_name, settings.config_file, settings.config)
    project = read_project(stack)
    needs = needs_of(project, settings)
    say(f"stack: {os.path.relpath(stack)}, project {project.name}, a program in {project.runtime}")
    plan = [*_plan(root, stack, needs, table, _ci(root, arguments.ci), settings)]
    for each in plan:
        _write(each, dry=arguments.dry_run)
    missing = [*_missing(project, needs, settings)]
    for text in missing:
        say(f"missing: {text}")
    for text in _notes(needs, plan, root, stack):
        say(f"note: {text}")
    if not arguments.dry_run:
        written = pyproject_table(pyproject)
        say("", "next:", *(f"  {line}" for line in _next(root, needs, settings, plan, written)))
    return _MISSING if missing else 0


def _settings(table: Mapping[str, Any], root: Path) -> Settings:
    return resolve_settings(cli=lambda _: None, environ=os.environ, ini=lambda _: None, table=table, base=root)


def _ci(root: Path, chosen: str | None) -> str:
    """Whose CI the project has: GitLab's where only that is there, else GitHub's."""
    return chosen or ("gitlab" if (root / _GITLAB).exists() and not (root / ".github").exists() else "github")


def _plan(
    root: Path, stack: Path, needs: Needs, table: Mapping[str, Any], ci: str, settings: Settings
) -> Iterator[Planned]:
    """What is to be there, in the order in which it is told."""
    pyproject = root / "pyproject.toml"
    text = files.pyproject_text(root, stack, needs, new=not pyproject.exists(), known=table)
    yield Planned(pyproject, text, tuple(text.splitlines()))
    yield Planned(_tests(root) / files.TEST, files.first_test(), ())
    variables = [*settings.secret.values(), *needs.secrets.values()]
    if ci == "github":
        yield Planned(root / _GITHUB, files.github(root, stack, variables), ())
    elif ci == "gitlab" and not (root / _GITLAB).exists():
        yield Planned(root / _GITLAB, files.gitlab(root, stack, variables), ())
    elif ci == "gitlab":
        yield Planned(root / _GITLAB_OWN, files.gitlab(root, stack, variables), ())
        yield Planned(root / _GITLAB, "", ("include:", f"  - local: {_GITLAB_OWN}"))


def _tests(root: Path) -> Path:
    """Where pytest looks for tests first, if that is a folder; else ``tests``."""
    import tomllib

    try:
        paths: Any = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        for key in ("tool", "pytest", "ini_options", "testpaths"):
            paths = paths[key]
    except (OSError, ValueError, LookupError, TypeError):
        paths = []
    names = paths.split() if isinstance(paths, str) else paths if isinstance(paths, list) else []
    return next((root / str(name) for name in names if (root / str(name)).is_dir()), root / "tests")


def _write(planned: Planned, *, dry: bool) -> None:
    """Write a file that is not there yet, and tell what was done or is to be done."""
    name = os.path.relpath(planned.path)
    if planned.path.exists():
        lines = [line for line in planned.by_hand if line not in planned.path.read_text(errors="replace").splitlines()]
        if any(line.strip() for line in lines):
            say(
                f"{name}: is there already, and was left alone; add to it:",
                *(f"    {line}" for line in planned.by_hand),
            )
        else:
            say(f"{name}: is there already, and was left alone")
    elif dry:
        say(f"{name}: would be written:", *(f"    {line}" for line in planned.text.splitlines()))
    else:
        planned.path.parent.mkdir(parents=True, exist_ok=True)
        with planned.path.open("x", encoding="utf-8") as file:
            file.write(planned.text)
        say(f"{name}: written")


def _missing(project: Project, needs: Needs, settings: Settings) -> Iterator[str]:
    """What stands between here and a run, and nobody but the project's team can supply."""
    for path in needs.passed_by:
        yield f'several config files: name one in [tool.k8ssec]: config-file = "{os.path.relpath(path)}"'
    for key, place in needs.config.items():
        yield f"config value {key}, asked for by {place}: give it in [tool.k8ssec.config] of pyproject.toml"
    for name, place in needs.variables.items():
        yield f"variable {name}, which the program reads at {place}: set it here, and in CI"
    if problem := language_problem(project):
        yield problem
    if not needs.config and not needs.passed_by and (wrong := _refused(needs, settings)):
        yield wrong


def _refused(needs: Needs, settings: Settings) -> str:
    """What a run would refuse of the stack with all that is proposed; "" where nothing."""
    secret = {**settings.secret, **needs.secrets}
    whole = settings._replace(secret=secret, config_file=settings.config_file or needs.config_file)
    try:
        prepare(source_of(whole), {**dict.fromkeys(secret.values(), token_hex()), **os.environ})
    except K8ssecError as error:
        return f"{error.message}; {error.fix}" if error.fix else error.message
    return ""


def _notes(needs: Needs, plan: list[Planned], root: Path, stack: Path) -> Iterator[str]:
    for key, name in needs.secrets.items():
        yield f"secret config value {key} comes from the variable {name}: any value made up for the test will do"
    in_ci = any(each.path.suffix == ".yml" for each in plan)
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    if in_ci and repository != root:
        yield (
            f"CI looks for jobs in the repository's own folder, {os.path.relpath(repository)}: move ours there, and have it "
            f"run in {os.path.relpath(root, repository)}"
        )
    if in_ci and files.out_of_reach_of_ci(root, stack):
        yield (
            "CI can't get pytest-k8ssec from this machine's files: put its wheel, or a URL of it, where CI reaches it, and "
            "name that in requirements.txt"
        )


def _next(
    root: Path, needs: Needs, settings: Settings, plan: list[Planned], written: Mapping[str, Any]
) -> Iterator[str]:
    """The commands up to the first verdict, and the one after it; what the settings don't say yet is given as options."""
    secret = {**settings.secret, **needs.secrets}
    unset = [f"{name}={files.MADE_UP}" for name in secret.values() if not os.environ.get(name)]
    flags: list[str] = []
    if "stack" not in written and settings.stack:
        flags += ["--k8ssec-stack", os.path.relpath(settings.stack, root)]
    if "config-file" not in written and needs.config_file:
        flags += ["--k8ssec-config-file", os.path.relpath(needs.config_file, root)]
    for key, name in needs.secrets.items():
        if key not in written.get("secret", {}):
            flags += ["--k8ssec-secret", f"{key}={name}"]
    test = next(os.path.relpath(each.path, root) for each in plan if each.path.name == files.TEST)
    controls = [] if "controls" in written else ["--k8ssec-controls"]
    before = "" if root == Path.cwd() else f"cd {shlex.quote(os.path.relpath(root))} && "
    yield f"{before}k8ssec doctor"
    yield f"{shlex.join([*unset, 'pytest', test, *flags])}    # the first verdict, of your own test"
    yield f"{shlex.join([*unset, 'pytest', *controls, *flags])}    # and all controls"
