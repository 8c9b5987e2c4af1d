"""Collects the results of a run, from all xdist workers too; at the end prints them, writes report.json, cleans up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.plain import folded, shown
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.chosen import Chosen
from pytest_k8ssec.plugin.terminal.once import why_lost
from pytest_k8ssec.plugin.waiving import since
from pytest_k8ssec.secrecy.redact import redact

if TYPE_CHECKING:
    from pytest_k8ssec.plugin.journal import Journal

SUMMARY = "k8ssec-summary"
LEFT_OUT = pytest.StashKey[bool]()
"""Whether controls are among the settings, and were not run, as the command line named something else."""
_NOT_RUN = "k8ssec: the packaged controls were not run, as paths were given; --k8ssec-controls runs them beside these"

_ENDED: dict[int, str] = {pytest.ExitCode.OK: "passed", pytest.ExitCode.TESTS_FAILED: "failed"}
_WITHOUT_MAX = 200
_PATIENCE = 3
"""So many further Ctrl-C are held off; a fixture of the user's that hangs as it is torn down can be left by more."""


class Summary:
    """A pytest plugin of its own, so that it can hold what it collects.

    Args:
        config: of the process that has the terminal.
        chosen: the controls that were to be judged.
    """

    def __init__(self, config: pytest.Config, chosen: Chosen) -> None:
        self._config = config
        self._chosen = chosen
        self._started = time.time()
        self._journal = session.journal(config)
        self._entries: list[dict[str, Any]] = list(self._journal.earlier.values()) if self._journal else []
        self._judged = any(map(_of_control, self._entries))
        self._lines: list[str] = []
        self._lost: list[tuple[str, str]] = []
        self._told: set[str] = set(self._journal.earlier) if self._journal else set()
        """Ids of tests that have a verdict."""
        self._silent: set[str] = set()
        """Ids of tests that failed, and have none."""
        self._status = ""
        self._puzzling = False
        self._ended_badly = False
        self._about: dict[str, Any] = {}
        self._made: dict[str, Any] = {}
        self._held = ExitStack()

    def describe(self, about: dict[str, Any]) -> None:
        """Note what is known of the cluster and the stack; of two xdist workers, one may know more than the other."""
        for part, facts in about.items():
            self._about.setdefault(part, {}).update(facts)

    def fail(self, why: str) -> None:
        """Note what a worker found wrong: the run does not pass. They all find the same."""
        if why not in self._lines:
            self._lines.append(why)
        self._ended_badly = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Keep an impatient second Ctrl-C from interrupting the clean-up that the first one began."""
        if session.run_id(self._config):
            from pytest_k8ssec.machine import signals

            self._held.enter_context(signals.held(_PATIENCE))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result that a report carries."""
        entry = getattr(report, "k8ssec", None)
        if (
            str(report.outcome) == "rerun"
        ):  # pytest-rerunfailures: the last try has a result, which knows of those before
            return
        if entry is not None:
            self._entries.append(entry)
            self._told.add(report.nodeid)
            self._judged = self._judged or (_of_control(entry) and bool(getattr(report, "k8ssec_tried", False)))
            if self._journal and not report.failed and getattr(report, "k8ssec_lasts", False):
                self._write_down(self._journal, report.nodeid, entry)
        elif report.failed:
            self._silent.add(report.nodeid)
        if why := why_lost(report):
            self._lost.append((report.nodeid, why))
        if report.failed and (entry is None or entry["verdict"] == "inconclusive"):
            self._puzzling = True

    def _write_down(self, journal: Journal, test: str, entry: dict[str, Any]) -> None:
        """Keep a result for a later run; where that can't be written, this run goes on without, and does not pass."""
        try:
            journal.add(test, entry)
        except K8ssecError as error:
            self._lines.append(f"this run can't be resumed: {error}")
            self._ended_badly = True
            self._journal = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """After all fixtures are torn down: a run that proved nothing fails, logs are saved, clusters go."""
        failed = session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        self._status = _ENDED.get(session.exitstatus, "broken off")
        if self._has_something_to_end and self._end(failed=failed) and not failed:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        if self._journal and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._journal.end()
        nothing_proven = bool(self._entries) and not self._proven
        if session.exitstatus == pytest.ExitCode.OK and (
            nothing_proven or self._unjudged or self._ended_badly or self._stale
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Restore the signal handlers, also if the session's end broke off."""
        self._held.close()

    @property
    def _has_something_to_end(self) -> bool:
        """Whether there are results, or anything was begun: most pytest runs are not about clusters."""
        return bool(self._entries) or session.has_begun(self._config)

    def _end(self, *, failed: bool) -> list[int]:
        """All that is done at the end. Returns the signals that came meanwhile, which had to wait."""
        from pytest_k8ssec.machine import signals

        with self._held, signals.held() as came:
            self._finish(failed=failed)
        return came

    @property
    def _unjudged(self) -> str:
        """One line where controls were to be judged and none was, else ""."""
        if self._judged or not self._chosen.begun or not self._chosen.ids:
            return ""
        return f"NO VERDICT: {len(self._chosen.ids)} controls were chosen, and none of them was judged"

    @property
    def _without_verdict(self) -> set[str]:
        """Ids of tests that should have one, or that failed beside those that have."""
        chosen = self._chosen.ids if self._chosen.begun else set()
        return (chosen | self._silent | {test for test, _ in self._lost}) - self._told

    @property
    def _proven(self) -> bool:
        return any(entry["verdict"] in ("held", "waived") for entry in self._entries)

    @property
    def _stale(self) -> bool:
        """Whether a waiver is stale, where that is an error."""
        from pytest_k8ssec.plugin.waiving import told

        return self._config.stash[session.SETTINGS].waivers == "strict" and bool(told.stale(self._entries))

    def _tell_waivers(self, tell: Callable[..., None]) -> None:
        from pytest_k8ssec.plugin.waiving import told

        for line, colour in told.summary_lines(self._config, self._entries):
            tell(line, **{colour: True})
        for line in since.comparison(self._config, self._entries):
            tell(line)

    def _finish(self, *, failed: bool) -> None:
        """One step after the other, whatever becomes of those before it."""
        testbeds = session.begun_testbeds(self._config)
        if testbeds is not None:
            from pytest_k8ssec.plugin import background

            background.stop_apart(self._config)
            self.describe(testbeds.describe())
            if self._puzzling:  # a breach explains itself; anything else may need the logs
                self._attempt("logs could not be saved", testbeds.save_diagnostics)
        self._attempt("sabotage", self._leave)
        self._attempt("clean-up failed", lambda: session.close(self._config, failed=failed))
        self._attempt("report could not be written", self._write_report)

    def _attempt(self, what: str, step: Callable[[], list[str]]) -> None:
        """Take a step and keep its lines; where it fails that is said, and the run does not pass."""
        try:
            self._lines += step()
        except (K8ssecError, OSError) as error:
            from pytest_k8ssec.machine.disks import unwritable

            told = unwritable(error) if isinstance(error, OSError) else error
            self._lines.append(f"{what}: {told}")
            self._ended_badly = True

    def _leave(self) -> list[str]:
        """Undo the sabotage that is still in force."""
        saboteur = session.begun_saboteur(self._config)
        if saboteur is not None:
            saboteur.leave()
        return []

    def _write_report(self) -> list[str]:
        directory = self._config.stash[session.SETTINGS].report
        if directory is None or not self._entries:
            return []
        from pytest_k8ssec.reports import json, sabotage_matrix

        document = self._document()
        written = {"report": json.write_report(directory, document)}
        if any(entry["sabotage"] for entry in self._entries):
            written["matrix"] = sabotage_matrix.write_matrix(directory, sabotage_matrix.matrix(self._entries))
        from pytest_k8ssec.reports.forms import every

        others = {}
        for name in every.FORM_NAMES:
            try:
                (others[name],) = every.write_forms(directory, every.texts_of(document, [name]))
            except (K8ssecError, OSError):
                raise  # the disk is full, or not ours
            except Exception as error:  # noqa: BLE001 - a form that can't be made takes nothing else away
                self._lines.append(f"report could not be written as {name}: {type(error).__name__}: {error}")
                self._ended_badly = True
        if "html" in others:
            written["page"] = others.pop("html")  # a person looks at it first
        lines = [f"{what}: {self._from_here(path)}" for what, path in written.items()]
        return [*lines, f"beside it: {', '.join(path.name for path in others.values())}"]

    def _document(self) -> dict[str, Any]:
        """What report.json holds, whether it is written or not."""
        from pytest_k8ssec.reports.json import report_document

        if not self._made:
            self._made = report_document(self._run(), self._entries)
        return self._made

    def _for_actions(self) -> list[str]:
        """What GitHub Actions is told, where it runs this; nothing elsewhere."""
        if os.environ.get("GITHUB_ACTIONS") != "true" or not self._entries:
            return []
        from pytest_k8ssec.reports.forms.actions import for_actions

        return for_actions(self._document(), os.environ)

    def _from_here(self, path: Path) -> Path:
        """A path as a user who stands where pytest was called would write it."""
        here = self._config.invocation_params.dir
        return path.relative_to(here) if path.is_relative_to(here) else path

    def _run(self) -> dict[str, Any]:
        """The ``run`` part of report.json."""
        import platform
        from importlib import metadata

        packages = ("pytest-k8ssec", "pytest", "pulumi", "pulumi-kubernetes", "kubernetes")
        return {
            "id": session.run_id(self._config),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
            "seconds": round(time.time() - self._started, 1),
            "ended": {"status": self._status, "without_verdict": sorted(self._without_verdict)[:_WITHOUT_MAX]},
            "cluster": self._about.get("cluster", {}),
            "stack": self._about.get("stack", {}),
            "reachability": list(self._about.get("reachability", {}).values()),
            "reach": list(self._about.get("reach", {}).values()),
            "since": since.since_baseline(self._config, self._entries),
            "project": self._project(),
            "versions": {
                **{name: metadata.version(name) for name in packages},
                **self._about.get("versions", {}),
                "python": platform.python_version(),
            },
            "host": {
                "system": platform.system(),
                "release": platform.release(),
                "machine": platform.machine(),
                "cpus": os.cpu_count(),
            },
        }

    def _project(self) -> dict[str, str]:
        """Where the project's files are, by which other forms than the terminal name them."""
        from pytest_k8ssec.reports.forms.paths import project_files

        settings = self._config.stash[session.SETTINGS]
        here = self._config.invocation_params.dir
        return project_files(here, settings.stack, settings.kind_config, self._config.inipath)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one screen of verdicts, and below it what there is to say of those that are not held."""
        if self._config.stash.get(LEFT_OUT, False):
            terminalreporter.write_line(_NOT_RUN, yellow=True)
        sampled = self._sampled()
        if not self._entries and not self._lines and not self._unjudged and not self._lost and not sampled:
            return
        width = session.columns_of(self._config)

        def tell(line: str, **markup: bool) -> None:
            for part in folded(shown(redact(line)), width, "  "):
                terminalreporter.write_line(part, **markup)

        terminalreporter.section("Kubernetes security", cyan=True)
        self._tell_results(tell, width)
        self._tell_waivers(tell)
        if self._unjudged:
            tell(self._unjudged, red=True, bold=True)
        for line, colour in sampled:
            tell(line, **{colour: True})
        for line in self._lines:
            for part in line.splitlines():  # a path or a command to paste is broken by nobody but the terminal
                terminalreporter.write_line(shown(redact(part)))
        for line in self._for_actions():
            terminalreporter.write_line(shown(redact(line)))

    def _sampled(self) -> list[tuple[str, str]]:
        """What tests were told by class and not by measurement: (line, colour) each; nothing where all was measured."""
        if not (told := self._about.get("reachability", {})):
            return []
        from pytest_k8ssec.reports.terminal import reach_summary

        return reach_summary(told.values())

    def _tell_results(self, tell: Callable[..., None], width: int) -> None:
        from pytest_k8ssec.reports import screen, terminal

        verbose = max(0, self._config.option.verbose)  # -q makes it negative
        for line, colour in screen.run_summary(self._entries, width=width, verbose=verbose, lost=self._lost):
            tell(line, **({colour: True} if colour else {}))
        if mutations := terminal.mutation_summary(self._entries):
            tell("")
            tell("sabotage: intact -> sabotaged -> restored", bold=True)
            for line, colour in mutations:
                tell(line, **{colour: True})
        if self._entries:
            tell("")
            if self._about.get("cluster", {}).get("origin") == "packaged":
                tell("controls of the cluster judged the packaged cluster, not yours", yellow=True)
            tell(terminal.tally_verdicts(self._entries), bold=True)
            if not self._proven:
                tell("NOTHING PROVEN: no control was shown to hold", red=True, bold=True)


def _of_control(entry: dict[str, Any]) -> bool:
    """Whether a result is a control's, and not that of another test with ``judge``."""
    return bool(entry["subject"])
