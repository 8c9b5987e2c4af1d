"""``--k8ssec-sabotage`` with live sabotages on a fake cluster: order, survivors, unexpected kills, failed undoings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin.conftest import Run

WORLD = '''
import pytest
from types import SimpleNamespace
from lab import saw
from pytest_k8ssec.plugin import ordering
from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.control import Severity, control, sabotage

WORLD = {"door": False, "window": False, "blind": False}
EVENTS = []


@pytest.fixture(scope="session")
def k8ssec_testbed(request):
    assert getattr(request, "param", None) is None
    return SimpleNamespace(refresh_pool=lambda: EVENTS.append("refresh"))


@pytest.fixture(scope="session")
def cluster(k8ssec_testbed):
    return SimpleNamespace(name="fake", ours=%(ours)s)


def look(judge, name):
    case = judge.case(name)
    through = WORLD[name]
    case.attack("push", saw("open" if through else "refused"), through=through)
    blind = WORLD["blind"] and name == "window"
    case.positive("there", saw("no-answer" if blind else "open"), succeeded=not blind)


@control(severity=Severity.HIGH, subject="cluster")
def test_net_door(judge, cluster):
    look(judge, "door")


@control(severity=Severity.HIGH, subject="cluster")
def test_net_window(judge, cluster):
    look(judge, "window")


def test_plain():
    assert not any(WORLD.values())


@sabotage(of=test_net_door, kills=%(kills)s, blinds=%(blinds)s)
def unlock(cluster):
    """Unlock it."""
    %(breaking)s
    yield %(proof)s
    WORLD.update(door=False, window=False, blind=False)
    %(undoing)s


ordering.packaged_controls = lambda: (control_of(test_net_door), control_of(test_net_window))
'''
DOOR = "WORLD.update(door=True)"
BOTH = "WORLD.update(door=True, window=True)"


def world(
    *, breaking: str = DOOR, proof: str = "saw('done')", undoing: str = "pass", ours: bool = True,
    kills: tuple[str, ...] = (), blinds: tuple[str, ...] = (),
) -> str:  # fmt: skip
    """A module with two controls and one sabotage that does this."""
    return WORLD % {
        "breaking": breaking, "proof": proof, "undoing": undoing, "ours": ours, "kills": kills, "blinds": blinds
    }  # fmt: skip


def told(lab: pytest.Pytester) -> dict[str, tuple[str, str]]:
    """Verdict by test, from report.json."""
    results: list[dict[str, Any]] = json.loads((lab.path / "report" / "report.json").read_text())["results"]
    return {each["test"]: (each["verdict"], each["sabotage"] or "") for each in results}


def outcomes(result: pytest.RunResult) -> dict[str, str]:
    """What ``-v`` says of each test, by name, in the order in which they ran."""
    lines = [line.partition("::")[2] for line in result.outlines if line.startswith("test_it.py::")]
    return {name: " ".join(rest.split("[")[0].split()) for name, _, rest in (line.partition(" ") for line in lines)}


def test_a_sabotage_is_noticed_and_undone(lab: pytest.Pytester, run: Run) -> None:
    """All controls intact, then the sabotaged one, its bystander beside it, and the control restored."""
    result = run(world(), "--k8ssec-sabotage", "-v")
    assert pytest.ExitCode.OK == result.ret
    assert [
        "test_plain",
        "test_net_door[intact]",
        "test_net_window[intact]",
        "test_net_door[sabotaged]",
        "test_net_window[beside-unlock]",
        "test_net_door[restored]",
    ] == list(outcomes(result))
    assert "BREACHED, as expected" == outcomes(result)["test_net_door[sabotaged]"]
    result.stdout.fnmatch_lines(["unlock *net-door *held -> breached -> held"])
    assert ("breached", "unlock") == told(lab)["test_net_door[sabotaged]"]


def test_a_control_that_does_not_notice_survives(run: Run) -> None:
    """Held under its own sabotage is a failure."""
    result = run(world(breaking="pass"), "--k8ssec-sabotage")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["SURVIVED: net-door did not notice the sabotage 'unlock': held, expected breached*"])


def test_an_unexpected_kill_fails_the_bystander(run: Run) -> None:
    """A sabotage that breaks more than it says is found out."""
    result = run(world(breaking=BOTH), "--k8ssec-sabotage")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["UNEXPECTED KILL: the sabotage 'unlock' breached net-window too*"])


def test_an_announced_kill_is_expected(run: Run) -> None:
    """One that says so must break the other too."""
    run(world(breaking=BOTH, kills=("net-window",)), "--k8ssec-sabotage").assert_outcomes(passed=6)
    result = run(world(breaking=DOOR, kills=("net-window",)), "--k8ssec-sabotage")
    result.stdout.fnmatch_lines(["SURVIVED: net-window did not notice*"])


def test_held_while_it_can_not_tell_is_unearned(run: Run) -> None:
    """A control that a sabotage blinds must say that it can't tell."""
    blinding = "WORLD.update(door=True, blind=True)"
    run(world(breaking=blinding, blinds=("net-window",)), "--k8ssec-sabotage").assert_outcomes(passed=6)
    result = run(world(breaking=DOOR, blinds=("net-window",)), "--k8ssec-sabotage")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["UNEARNED: *net-window can't tell, and says held*"])


@pytest.mark.parametrize("proof", ["None", "True", "saw('error')"])
def test_a_sabotage_without_evidence_proves_nothing(run: Run, proof: str) -> None:
    """What did not show that it took effect fails the phases under it, and is undone."""
    result = run(world(proof=proof), "--k8ssec-sabotage", "-v")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["*sabotage 'unlock': *that it took effect*"])
    assert "INCONCLUSIVE" == outcomes(result)["test_net_door[sabotaged]"]
    assert "HELD" == outcomes(result)["test_net_door[restored]"]


def test_a_sabotage_that_breaks_while_applied_fails_its_phases(run: Run) -> None:
    """A crash on the way in leaves nothing judged under it."""
    result = run(world(breaking="raise RuntimeError('jammed')"), "--k8ssec-sabotage", "-v")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    assert "INCONCLUSIVE" == outcomes(result)["test_net_door[sabotaged]"]
    result.stdout.fnmatch_lines(["*RuntimeError: jammed*"])


def test_a_sabotage_that_can_not_be_undone_taints_the_cluster(lab: pytest.Pytester, run: Run) -> None:
    """Whatever would run after it is an error: that cluster proves nothing."""
    result = run(world(undoing="raise RuntimeError('jammed')"), "--k8ssec-sabotage", "-v")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["*sabotage 'unlock': could not be undone, so this cluster proves nothing*jammed*"])
    assert "inconclusive" == told(lab)["test_net_door[restored]"][0]


def test_a_last_sabotage_that_can_not_be_undone_fails_the_run(lab: pytest.Pytester, run: Run) -> None:
    """Also where no test comes after it."""
    module = world(undoing="raise RuntimeError('jammed')")
    result = run(module, "--k8ssec-sabotage", "-v", "--deselect", "test_it.py::test_net_door[restored]")
    assert {"held", "breached"} == {verdict for verdict, _ in told(lab).values()}
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["sabotage: sabotage 'unlock': could not be undone*"])


def test_a_cluster_that_is_not_ours_is_never_sabotaged(run: Run) -> None:
    """Refused, and nothing is broken."""
    result = run(world(ours=False), "--k8ssec-sabotage", "-v")
    result.stdout.fnmatch_lines(["*sabotage 'unlock': refused: this run did not create cluster fake*"])
    assert "INCONCLUSIVE" == outcomes(result)["test_net_door[sabotaged]"]


def test_a_control_that_does_not_hold_can_not_be_shown_to_notice(run: Run) -> None:
    """Breached when intact: its sabotage says nothing about it."""
    module = world().replace('WORLD = {"door": False', 'WORLD = {"door": True')
    result = run(module, "--k8ssec-sabotage", "-v", "-k", "net_door")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["not run: net-door was breached on the intact cluster*"])
    assert "INCONCLUSIVE" == outcomes(result)["test_net_door[sabotaged]"]


def test_one_phase_brings_its_intact_one_along(run: Run) -> None:
    """Choosing a single phase runs what it is compared with, and no bystander of another's."""
    result = run(world(), "--k8ssec-sabotage", "-v", "-k", "net_door and sabotaged")
    assert ["test_net_door[intact]", "test_net_door[sabotaged]"] == list(outcomes(result))
    assert pytest.ExitCode.OK == result.ret


def test_marks_tell_where_a_sabotage_is_put_in_force(run: Run) -> None:
    """So that those of the running cluster, and those with clusters of their own, can be two runs."""
    result = run(world(), "--k8ssec-sabotage", "-v", "-m", "live_sabotage")
    assert 5 == len(outcomes(result))
    assert pytest.ExitCode.OK == result.ret
    own = "\n\n@sabotage(of=test_net_window, proof=lambda cluster: None)\ndef rebuild(config):\n    'Rebuild it.'\n"
    result = run(world() + own, "--k8ssec-sabotage", "--collect-only", "-q", "-m", "own_cluster_sabotage")
    assert [
        f"test_it.py::test_net_{name}"
        for name in ("door[intact]", "window[intact]", "window[sabotaged]", "door[beside-rebuild]", "window[restored]")
    ] == [line for line in result.outlines if "::" in line]


def test_without_the_option_nothing_is_sabotaged(run: Run) -> None:
    """A plain run has no phases."""
    result = run(world(breaking="raise SystemExit"), "-v")
    assert ["test_net_door", "test_net_window", "test_plain"] == list(outcomes(result))
    assert pytest.ExitCode.OK == result.ret


@pytest.mark.parametrize("options", [["-n", "2"], ["-n", "1"], ["--dist", "each", "--tx", "popen"]])
def test_a_sabotage_is_not_distributed(lab: pytest.Pytester, options: list[str]) -> None:
    """Workers share one cluster, so it is refused at once."""
    lab.makepyfile(test_it=world())
    result = lab.runpytest_subprocess("--k8ssec-sabotage", *options)
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["ERROR: --k8ssec-sabotage with -n: *"])


def test_a_users_cluster_and_sabotage_are_a_usage_error(lab: pytest.Pytester) -> None:
    """There is no override."""
    result = lab.runpytest("--k8ssec-sabotage", "--k8ssec-cluster=dev")
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["ERROR: --k8ssec-sabotage with --k8ssec-cluster dev: refused"])


TWO = (
    world()
    + '''

@sabotage(of=test_net_window)
def smash(cluster):
    """Smash it."""
    WORLD.update(window=True)
    yield saw("done")
    WORLD.update(window=False)
'''
)
"""Two controls, each with a sabotage that leaves the other one alone."""


def test_packed_sabotages_are_in_force_together(lab: pytest.Pytester, run: Run) -> None:
    """Each control runs once under both, and each kill is the right one's."""
    result = run(TWO, "--k8ssec-sabotage", "--k8ssec-packed", "-v")
    assert pytest.ExitCode.OK == result.ret
    assert [
        "test_plain", "test_net_door[intact]", "test_net_window[intact]", "test_net_door[sabotaged]",
        "test_net_window[sabotaged]", "test_net_door[restored]", "test_net_window[restored]",
    ] == list(outcomes(result))  # fmt: skip
    found = told(lab)
    assert ("breached", "unlock") == found["test_net_door[sabotaged]"]
    assert ("breached", "smash") == found["test_net_window[sabotaged]"]
    matrix = json.loads((lab.path / "report" / "matrix.json").read_text())
    assert {"killed": 2, "unmoved": 0, "survived": 0} == {
        name: matrix["counts"][name] for name in ("killed", "unmoved", "survived")
    }
    result.stdout.fnmatch_lines(["*sabotage 1 of 1: live-pack-1, about * min left*"])


def test_a_survivor_in_a_pack_is_told_by_its_own_name(run: Run) -> None:
    """The pack's other member was noticed, and that is no excuse."""
    result = run(TWO.replace("WORLD.update(window=True)", "pass"), "--k8ssec-sabotage", "--k8ssec-packed")
    result.stdout.fnmatch_lines(["SURVIVED: net-window did not notice the sabotage 'smash': held, expected breached*"])
    result.assert_outcomes(passed=6, failed=1)


def test_one_member_that_fails_leaves_none_in_force(lab: pytest.Pytester, run: Run) -> None:
    """What can't prove its effect takes the pack down with it: nothing is judged, all is undone."""
    result = run(TWO.replace('yield saw("done")', 'yield saw("error")'), "--k8ssec-sabotage", "--k8ssec-packed", "-v")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["*sabotage 'smash': could not prove that it took effect*"])
    found = told(lab)
    assert "inconclusive" == found["test_net_door[sabotaged]"][0] == found["test_net_window[sabotaged]"][0]
    assert "held" == found["test_net_door[restored]"][0] == found["test_net_window[restored]"][0]


def test_packing_without_sabotage_is_a_usage_error(lab: pytest.Pytester) -> None:
    """It would do nothing."""
    result = lab.runpytest("--k8ssec-packed")
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["ERROR: --k8ssec-packed without --k8ssec-sabotage: *"])


RESUMED = ("--k8ssec-sabotage", "--k8ssec-resume", "-v")


def test_an_interrupted_run_is_resumed(lab: pytest.Pytester, run: Run) -> None:
    """What was as it must be is not run again, and the report has it all."""
    lab.makepyfile(test_it=world(breaking="raise KeyboardInterrupt"))
    interrupted = lab.runpytest_subprocess("--k8ssec-report=report", *RESUMED)
    assert pytest.ExitCode.INTERRUPTED == interrupted.ret
    assert (lab.path / "report" / "journal.jsonl").exists()
    result = run(world(), *RESUMED)
    assert pytest.ExitCode.OK == result.ret
    assert [
        "test_plain",
        "test_net_door[sabotaged]",
        "test_net_window[beside-unlock]",
        "test_net_door[restored]",
    ] == list(outcomes(result))
    assert 5 == len(told(lab))
    assert not (lab.path / "report" / "journal.jsonl").exists()


def test_a_run_that_came_to_its_end_is_not_resumed(run: Run) -> None:
    """Also where it failed: what failed once does not pass by being asked again."""
    first = run(world(breaking="pass"), *RESUMED)
    assert pytest.ExitCode.TESTS_FAILED == first.ret
    assert "test_net_door[intact]" in outcomes(run(world(), *RESUMED))


def test_resuming_needs_a_place(lab: pytest.Pytester) -> None:
    """Without a report directory there is nothing to go on with."""
    result = lab.runpytest("--k8ssec-resume")
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["ERROR: --k8ssec-resume without --k8ssec-report: *"])
