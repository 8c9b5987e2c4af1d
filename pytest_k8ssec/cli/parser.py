"""The options of ``k8ssec``, and its help."""

from __future__ import annotations

import argparse
import math
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.settings import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

UP_OPTIONS = (
    "fresh", "kind_config", "stack", "stack_name", "config_file", "config", "secret", "allow_provider", "node_image",
    "kubernetes_version", "diagnostics",
)  # fmt: skip
"""Settings that ``up`` takes: those of the plugin, under the same names."""

REACH_OPTIONS = ("cluster", *UP_OPTIONS, "reach_limit", "reach_seed")
"""Settings that ``reach`` takes."""
BLAST_OPTIONS = UP_OPTIONS
"""Settings that ``blast`` takes."""

CI = ("github", "gitlab", "none")
"""Whose job ``init`` writes."""

SHELLS = ("bash", "zsh", "fish")
"""For which ``completion`` has a script."""
CONTROL_OR_FAMILY = "ID|FAMILY"

_CLUSTER_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?")
"""What kind accepts, short enough for the nodes' names to be host names."""

_EXAMPLES = """\
examples:
  k8ssec init                           begin in a project: settings, a first test, a CI job
  k8ssec doctor                         can tests run here? each finding with the command that fixes it
  k8ssec controls                       what is tested; `k8ssec controls etcd-client-auth` explains one
  k8ssec config check                   is all that a run would read here as it should be? takes a second
  k8ssec up --name dev --stack infra    a cluster with your stack, to try tests on quickly
  pytest --k8ssec-cluster dev --k8ssec-stack infra --k8ssec-controls
  k8ssec down dev                       and remove it
  k8ssec reach --stack infra            who can really talk to whom, compared with what is declared
  k8ssec diff main report               what is new since the run whose report.json is in main
  k8ssec blast web/shop --stack infra   what is within reach of whoever gets into web/shop
  k8ssec report build/k8ssec            a page, SARIF and other forms of a run's report.json

Tests need none of this: `pytest --k8ssec-controls` makes a cluster for each run, and removes it.

exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM
"""

_UP = """\
Make a kind cluster that stays, so that tests can be tried on it without waiting for a new one each time. Without a kind
configuration the packaged, hardened one is used; with --stack, kind.yaml beside its Pulumi.yaml, and the stack is
deployed. Settings are also taken from K8SSEC_... variables and [tool.k8ssec] of ./pyproject.toml, as pytest does.
"""

_UP_EXAMPLES = """\
examples:
  k8ssec up
  k8ssec up --name dev --kubernetes-version 1.36
  k8ssec up --name shop --stack infra --config region=eu --secret dbPassword=DB_PASSWORD
"""

_REACH = """\
Measure who can really talk to whom, and compare it with what the NetworkPolicies should give and with what an intent file
declares. A pod of ours with the network identity of each workload of the stack connects to every port that really
listens: at pod addresses, Service addresses, Service names and nodes; so do a pod without labels in each namespace, one
of a foreign namespace, the nodes, and a container outside. "Blocked" is reported only if another source reached the
same listener at that moment.

Without --cluster an ephemeral cluster is made, the stack deployed, and both removed. On an existing cluster no pod of
ours is placed among the stack's: sources are a foreign namespace, the nodes and the outside.

With more than 50 pods, one of each class (pods that the policies can't tell apart, on one node) and 30 of the others are
measured, as sources and as targets. The other connections are told by their class, and marked: none of them was tried.
"""

_REACH_EXAMPLES = """\
examples:
  k8ssec reach --stack infra
  k8ssec reach --stack infra --intent infra/intent.yaml --html build/reach.html
  k8ssec reach --cluster dev --stack infra --json - | jq '.differences'
  k8ssec reach --stack infra --reach-limit all            measure from and to every pod, however many there are

an intent file; `web` is all of that namespace, `*` everybody, further names are elsewhere, node and outside:
  version: 1
  allow:
    - from: web/storefront
      to: payments/api
      ports: [8080/TCP]
      reason: customers pay

exit codes: 0 all agree, 1 they differ or it can't be told, 2 wrong usage
"""

_BLAST = """\
Walk the attack graph of one workload: what is within reach of whoever gets into one of its containers. A twin of it
finds tokens, Secrets, network services and ways out to its node. What it finds is tried harmlessly, by dry runs and by
names that don't exist, and the walk goes on from there. Each edge is proven live, inferred, refuted or unknown. An
ephemeral cluster is made, the stack deployed, and both removed: a twin may only stand where this run deployed.
"""

_BLAST_EXAMPLES = """\
examples:
  k8ssec blast web/shop --stack infra
  k8ssec blast web/shop --stack infra --html build/blast.html --json build/blast.json
  k8ssec blast web/shop --stack infra --write-baseline    accept what it reaches now: infra/blast-radius.yaml
  k8ssec blast --all --stack infra --html build/blast.html

A workload is NAMESPACE/NAME, or NAME if only one has that name. The radius is compared with the baseline if there is
one (blast-radius.yaml beside Pulumi.yaml); without one it must hold neither a way to cluster-admin nor a node.

exit codes: 0 within its baseline, 1 wider, or it can't be told, 2 wrong usage
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="k8ssec",
        description="Goes with pytest-k8ssec: look at the machine, at the controls, and at clusters that were kept.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {version('pytest-k8ssec')}")
    top.set_defaults(run=_helping(top))  # where no command is given
    commands = top.add_subparsers(metavar="COMMAND")
    _init(commands)
    _doctor(commands)
    _controls(commands)
    _config(commands)
    _up(commands)
    _down(commands)
    _list(commands)
    _sweep(commands)
    _cache(commands)
    _reach(commands)
    _blast(commands)
    _diff(commands)
    _report(commands)
    _completion(commands)
    return top


def _helping(top: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> int:
        top.print_help()
        return 0

    return run


def _init(commands: Subparsers) -> None:
    made = _command(
        commands, "init", "begin in a project: settings, a first test, a CI job",
        "Write the settings into pyproject.toml, a first test of your own, and a job for CI. What is there already is left "
        "alone, and what to add to it by hand is printed. Needs no docker. Exit code 1 if something is missing that only "
        "you know, 2 if there is not one Pulumi.yaml.",
        "examples:\n  k8ssec init\n  k8ssec init --dry-run\n  k8ssec init --stack infra --ci gitlab\n",
    )  # fmt: skip
    made.add_argument(
        "directory", nargs="?", type=Path, default=Path(), metavar="DIR", help="the project (default: here)"
    )
    made.add_argument(
        "--stack", type=Path, metavar="DIR", help="directory that holds Pulumi.yaml (default: looked for)"
    )
    made.add_argument(
        "--ci", choices=CI, metavar="|".join(CI), help="whose job is written (default: by what the project has)"
    )
    made.add_argument("--dry-run", action="store_true", help="print what would be written, and write nothing")
    made.set_defaults(run=_later("init", "init"))


def _doctor(commands: Subparsers) -> None:
    made = _command(
        commands, "doctor", "whether tests can run on this machine, and what fixes it",
        "Look at docker, the kernel, disk, memory, tools and images. Changes nothing. Exit code 1 if tests can't run.",
        "examples:\n  k8ssec doctor\n  k8ssec doctor --json | jq '.findings[] | select(.level != \"ok\")'\n",
    )  # fmt: skip
    made.add_argument("--json", action="store_true", help="print the findings as JSON")
    made.set_defaults(run=_later("doctor", "doctor"))


def _controls(commands: Subparsers) -> None:
    made = _command(
        commands, "controls", "list the packaged controls, or explain one",
        "Without a name, list all; with a family, list its controls; with an id, explain that control.",
        "examples:\n  k8ssec controls\n  k8ssec controls etcd\n  k8ssec controls etcd-client-auth\n",
    )  # fmt: skip
    made.add_argument(
        "name", nargs="?", metavar=CONTROL_OR_FAMILY, help="a control's id, or a family such as etcd or net"
    )
    made.set_defaults(run=_later("controls", "controls"))


def _config(commands: Subparsers) -> None:
    made = _command(
        commands, "config", "check what a run would read here, or print the schema of the settings",
        "Check the settings, Pulumi.yaml and the config values, kind.yaml, intent.yaml and blast-radius.yaml. Needs no docker "
        "and takes a second, so it suits a pre-commit hook. Exit code 2 if something is wrong. `schema` prints the JSON Schema "
        "of [tool.k8ssec], by which an editor completes and checks settings.",
        "examples:\n  k8ssec config check\n  k8ssec config check --stack infra\n  k8ssec config schema > k8ssec.schema.json\n",
    )  # fmt: skip
    made.add_argument("what", choices=("check", "schema"), metavar="check|schema", help="what is done")
    _settings(made, UP_OPTIONS)
    made.set_defaults(run=_later("config", "config"))


def _up(commands: Subparsers) -> None:
    made = _command(commands, "up", "make a cluster that stays", _UP, _UP_EXAMPLES)
    made.add_argument("--name", type=_name, metavar="NAME", help="the cluster's name (default: made up)")
    _settings(made, UP_OPTIONS)
    made.set_defaults(run=_later("clusters", "up"))


def _settings(made: argparse.ArgumentParser, names: Collection[str]) -> None:
    """The plugin's settings, under the same names."""
    for option in OPTIONS:
        if option.name in names:
            taken: dict[str, Any] = {"action": "append" if option.repeatable else "store", "metavar": option.metavar}
            if option.kind == "flag":
                taken = {"action": "store_const", "const": True}
            # As pytest spells it too: that is how errors name it. One dest, so the hidden one must not set a default.
            made.add_argument(f"--{option.key}", dest=option.ini, help=option.help, **taken)
            made.add_argument(option.flag, dest=option.ini, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **taken)


def _diff(commands: Subparsers) -> None:
    made = _command(
        commands, "diff", "what changed between two runs",
        "Compare two runs by what got through, not by controls: what is new, resolved, gone, unchanged. A breach is resolved only where "
        "the same attack was seen to be stopped; what nobody can tell any more is incomparable.",
        "examples:\n  k8ssec diff main/report.json report/report.json\n  k8ssec diff --json main report | jq '.[] | "
        "select(.change == \"new\")'\n\nexit codes: 0 nothing is new, 1 something is, or can't be compared, 2 wrong usage\n",
    )  # fmt: skip
    made.add_argument(
        "old", type=Path, metavar="OLD", help="report.json of the earlier run, or the directory that has it"
    )
    made.add_argument("new", type=Path, metavar="NEW", help="of the later one")
    made.add_argument("--json", action="store_true", help="print it as JSON")
    made.set_defaults(run=_later("diff", "diff"))


def _reach(commands: Subparsers) -> None:
    made = _command(commands, "reach", "measure who can really talk to whom", _REACH, _REACH_EXAMPLES)
    _settings(made, REACH_OPTIONS)
    made.add_argument("--intent", type=Path, metavar="FILE", help="who may talk to whom, as YAML (default: intent.yaml "
                      "beside Pulumi.yaml, if there is one)")  # fmt: skip
    made.add_argument("--html", type=Path, metavar="FILE", help="write a heat map, one self-contained page")
    made.add_argument(
        "--json",
        metavar="FILE",
        help="write all cells as JSON; - for standard output, instead of the table",
    )
    made.add_argument("--timeout", type=_seconds, default=1.0, metavar="S",
                      help="seconds that one connection may take (default: 1)")  # fmt: skip
    made.add_argument("--propagation", type=_times, default=0, metavar="N",
                      help="also measure, N times, how long a policy takes to be enforced")  # fmt: skip
    made.set_defaults(run=_later("reach", "reach"))


def _blast(commands: Subparsers) -> None:
    made = _command(commands, "blast", "walk what is within reach of one workload", _BLAST, _BLAST_EXAMPLES)
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("workload", nargs="?", metavar="WORKLOAD", help="NAMESPACE/NAME of a workload of the stack")
    which.add_argument("--all", action="store_true", help="every workload of the stack")
    _settings(made, BLAST_OPTIONS)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the graph as node-link JSON (with --all a list)")
    made.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page with pictures")
    made.add_argument("--svg", type=Path, metavar="FILE", help="write a picture of one workload, as SVG")
    made.add_argument("--mermaid", action="store_true", help="print the graph as Mermaid, instead of the summary")
    made.add_argument("--baseline", type=Path, metavar="FILE", help="compare with this file (default: blast-radius.yaml "
                      "beside Pulumi.yaml, if there is one)")  # fmt: skip
    made.add_argument("--write-baseline", action="store_true", help="write what is reached now into that file")
    made.set_defaults(run=_later("blast", "blast"))


def _completion(commands: Subparsers) -> None:
    made = _command(
        commands, "completion", "print a script for the shell's completion",
        "Print a script by which a shell completes commands, options, files and the controls' ids.",
        'examples:\n  eval "$(k8ssec completion bash)"                                     in ~/.bashrc\n'
        "  k8ssec completion zsh > ~/.zfunc/_k8ssec                               in a folder of $fpath\n"
        "  k8ssec completion fish > ~/.config/fish/completions/k8ssec.fish\n",
    )  # fmt: skip
    made.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS), help="which shell")
    made.set_defaults(run=_later("completion", "completion"))


def _report(commands: Subparsers) -> None:
    made = _command(
        commands, "report", "make other forms of a run's report.json",
        "Make each form of a run's result again from its report.json: a page for people, SARIF for code scanning, a summary in "
        "Markdown, GitLab's code quality. Needs no docker. They are written beside it; `pytest --k8ssec-report DIR` writes them by itself.",
        "examples:\n  k8ssec report build/k8ssec\n  k8ssec report build/k8ssec/report.json --form sarif --out build\n"
        "  k8ssec report build/k8ssec --history runs/*/report.json\n  k8ssec report --schema > report-schema.json\n",
    )  # fmt: skip
    made.add_argument("source", nargs="?", type=Path, metavar="DIR|FILE", help="a report.json, or the folder with it")
    made.add_argument(
        "--form",
        action="append",
        choices=("html", "sarif", "markdown", "gitlab"),
        help="this one only (default: all). Repeatable",
    )
    made.add_argument(
        "--history", type=Path, nargs="+", metavar="REPORT",
        help="report.json of earlier runs, or their folders: the page shows how verdicts came and went (the last 20)",
    )  # fmt: skip
    made.add_argument("--out", type=Path, metavar="DIR", help="the folder to write into (default: beside report.json)")
    made.add_argument("--schema", action="store_true", help="print the JSON Schema of report.json instead")
    made.set_defaults(run=_later("report", "report"))


def _down(commands: Subparsers) -> None:
    made = _command(
        commands, "down", "remove clusters that were kept",
        "Remove a cluster that `k8ssec up` or --k8ssec-keep left. Clusters that others made are never touched.",
        "examples:\n  k8ssec down dev\n  k8ssec down --all\n",
    )  # fmt: skip
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", metavar="NAME", help="the cluster's name, as `k8ssec list` shows it")
    which.add_argument("--all", action="store_true", help="every cluster that was kept")
    made.set_defaults(run=_later("clusters", "down"))


def _list(commands: Subparsers) -> None:
    made = _command(
        commands, "list", "show runs and their clusters",
        "Show each run that is recorded on this machine: running, kept, or dead (killed before it could clean up).",
        "",
    )  # fmt: skip
    made.set_defaults(run=_later("clusters", "list_runs"))


def _sweep(commands: Subparsers) -> None:
    made = _command(
        commands, "sweep", "remove what killed runs left behind",
        "Remove clusters, containers and folders of runs that were killed. Each pytest run does so by itself; running and "
        "kept ones are not touched, nor is anything that no run recorded.",
        "",
    )  # fmt: skip
    made.set_defaults(run=_later("clusters", "sweep_dead"))


def _cache(commands: Subparsers) -> None:
    made = _command(
        commands, "cache", "list or remove frozen clusters",
        "A cluster that was made for a run is frozen, and thawed for later ones. List what there is, or remove it: what is "
        "in use stays, and what is asked for again is made anew. Tools and other images are not touched.",
        "examples:\n  k8ssec cache\n  k8ssec cache clear\n",
    )  # fmt: skip
    made.add_argument(
        "what",
        nargs="?",
        metavar="list|clear",
        choices=("list", "clear"),
        default="list",
        help="list (default) or clear",
    )
    made.set_defaults(run=_later("cache", "cache"))


def _command(commands: Subparsers, name: str, short: str, description: str, epilog: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=short, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A subcommand that is imported once it runs."""

    def run(arguments: argparse.Namespace) -> int:
        import importlib

        done = getattr(importlib.import_module(f"pytest_k8ssec.cli.{module}"), function)(arguments)
        assert isinstance(done, int)
        return done

    return run


def _times(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.05 <= seconds <= 60:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.05 to 60")
    return seconds


def _name(text: str) -> str:
    if not _CLUSTER_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a cluster name: up to 40 small letters, digits, '-', '.', a letter or digit at each end"
        )
    return text
