"""``k8ssec blast``: what is within reach of one compromised workload."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_k8ssec.attack import baseline as baselines
from pytest_k8ssec.attack.baseline import Baseline
from pytest_k8ssec.attack.document import node_link
from pytest_k8ssec.attack.findings import Attempt, canary_positives, findings
from pytest_k8ssec.attack.graph import Graph
from pytest_k8ssec.cli.say import say, say_text
from pytest_k8ssec.cli.setup import passing_testbed, settings_of, stderr_teller
from pytest_k8ssec.errors import ProbeError, SabotageError, SettingsError
from pytest_k8ssec.plain import lines_of
from pytest_k8ssec.reports import attack as pictures
from pytest_k8ssec.reports.attack_svg import svg
from pytest_k8ssec.reports.write_whole import write_whole
from pytest_k8ssec.secrecy.redact import redact, redacted
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.stack import Workload

if TYPE_CHECKING:
    from pytest_k8ssec.attack.radius import BlastRadius


def blast(arguments: argparse.Namespace) -> int:
    """Walk, compare with the baseline, show. Returns 1 if a radius is wider or unknown, or our canary's is not found.

    Raises:
        SettingsError: the stack, the baseline, the workload's name or a setting is wrong.
        K8ssecError: the walk failed; nothing is left behind then.
    """
    settings = settings_of(arguments)._replace(cluster=None)
    if settings.stack is None:
        raise SettingsError("stack: none was named, so there is nothing to walk from", fix="name it: --stack DIR")
    if arguments.svg and arguments.all:
        raise SettingsError("--svg with --all: is a picture of one workload", fix="name the workload, or use --html")
    where = arguments.baseline or settings.stack / baselines.NAME
    agreed = baselines.read_baseline(where)
    if arguments.baseline and agreed is None and not arguments.write_baseline:
        raise SettingsError(f"baseline {where}: does not exist", fix="write it first: --write-baseline")
    graphs, unseen = _walked(arguments, settings)
    found = [finding for name, graph in graphs.items() for finding in findings(name, graph, agreed)]
    _write(arguments, list(graphs.values()))
    if arguments.write_baseline:
        write_whole(where, _with_all(agreed or Baseline(), graphs).to_yaml())
        say(f"wrote {where}")
        if unseen:
            say(*map(_unseen_line, unseen))
        return 1 if unseen or any(not graph.conclusive or graph.is_admin for graph in graphs.values()) else 0
    if not arguments.mermaid:
        say(*map(_line, found), *map(_unseen_line, unseen))
    return 1 if unseen or any(finding.through is not False for finding in found) else 0


def _walked(arguments: argparse.Namespace, settings: Settings) -> tuple[dict[str, Graph], list[str]]:
    """The graphs by workload, and the positive controls that failed, in words: where there are any, nothing can be told."""
    from pytest_k8ssec.attack.radius import BlastRadius

    tell = stderr_teller()
    with passing_testbed(settings, tell) as testbed:
        stack = testbed.stack
        chosen = _chosen(stack.workloads(), arguments.workload)
        walk = BlastRadius(testbed.cluster, stack, testbed.pool, seed=testbed.sampling.by_chance)
        if len(chosen) > 1:
            tell(f"starting twins of {len(chosen)} workloads")
            walk.prepare(chosen)
        graphs: dict[str, Graph] = {}
        for name, workload in {_name(each): each for each in chosen}.items():
            tell(f"walking from {name}")
            graphs[name] = walk(workload)
        tell("walking from a canary of ours")
        return graphs, _unseen(walk, chosen)


def _unseen(walk: BlastRadius, workloads: Sequence[Workload]) -> list[str]:
    """What the same walk was to find from a canary of ours with every weakness, and did not."""
    try:
        canaries = {id(canary): canary for workload in workloads for canary in walk.shown(workload)}
    except (ProbeError, SabotageError) as error:
        return [f"the same walk finds anything from our own canary: {error}"]
    found = [each for canary in canaries.values() for each in canary_positives(canary)]
    return list(dict.fromkeys(f"{what}: {evidence.detail}" for what, evidence, succeeded in found if not succeeded))


def _chosen(workloads: Sequence[Workload], wanted: str | None) -> list[Workload]:
    """The workloads of that name, all where none is wanted; several of one full name are walked as one.

    Raises:
        SettingsError: there is none, or the name says too little.
    """
    if wanted is None:
        return list(workloads)
    found = [each for each in workloads if wanted in (each.name, _name(each))]
    known = ", ".join(sorted({_name(each) for each in workloads}))
    if len({_name(each) for each in found}) != 1:
        why = "is not a workload of the stack" if not found else "is the name of several"
        raise SettingsError(f"workload {wanted!r}: {why}", fix=f"name one of {known}")
    return found


def _name(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}"


def _write(arguments: argparse.Namespace, graphs: Sequence[Graph]) -> None:
    """Pictures and JSON, redacted and safe to show, as all that leaves."""
    bodies = [lines_of(redacted(node_link(graph))) for graph in graphs]
    told = json.dumps(bodies if arguments.all else bodies[0], indent=2, ensure_ascii=False) + "\n"
    files: tuple[tuple[Path | None, str], ...] = (
        (arguments.json, told if arguments.json else ""),
        (arguments.html, pictures.attack_page(bodies) if arguments.html else ""),
        (arguments.svg, svg(bodies[0]) if arguments.svg else ""),
    )
    for path, text in files:
        if path is not None:
            write_whole(path, redact(text))
    for body in bodies:
        say_text(pictures.mermaid(body) if arguments.mermaid else pictures.graph_summary(body))


def _with_all(agreed: Baseline, graphs: dict[str, Graph]) -> Baseline:
    for name, graph in graphs.items():
        agreed = agreed.with_graph(name, graph)
    return agreed


def _unseen_line(words: str) -> str:
    return f"{'UNKNOWN':<8} not shown that {words}"


def _line(finding: Attempt) -> str:
    word = {True: "WIDER", False: "within", None: "UNKNOWN"}[finding.through]
    return f"{word:<8} {finding.what}: {finding.evidence.detail or finding.evidence}"
