"""A team's own control, in a file of its own, under ``--k8ssec-sabotage``: its phases, its bystanders, and who may choose them."""

from __future__ import annotations

import json
from typing import Any

import pytest

CONFTEST = """
import pytest
from types import SimpleNamespace


@pytest.fixture(scope="session")
def k8ssec_testbed(request):
    pack = getattr(request, "param", None)
    return SimpleNamespace(refresh_pool=lambda: None, pack=pack)


@pytest.fixture(scope="session")
def cluster(k8ssec_testbed):
    return SimpleNamespace(name="fake", ours=True, pack=k8ssec_testbed.pack)


@pytest.fixture(scope="session")
def ledger(cluster):
    return "the ledger"
"""

SHARED = """
from lab import saw

WORLD = {"door": False, "window": False, "ledger": False, "roof": False}


def look(judge, name, *, also=False):
    through = WORLD[name] or also
    case = judge.case(name)
    case.attack("push", saw("open" if through else "refused"), through=through)
    case.positive("there", saw("open"), succeeded=True)
"""

PACKAGED = '''
from world import WORLD, look
from lab import saw
from pytest_k8ssec.catalogue.control import Severity, control, sabotage


@control(severity=Severity.HIGH, subject="cluster")
def test_net_door(judge, cluster):
    look(judge, "door")


@control(severity=Severity.HIGH, subject="cluster")
def test_net_window(judge, cluster):
    look(judge, "window")


def broken(name):
    WORLD[name] = True
    yield saw("done")
    WORLD[name] = False


@sabotage(of=test_net_door)
def unlock(cluster):
    """Unlock the door."""
    yield from broken("door")


@sabotage(of=test_net_window)
def smash(cluster):
    """Smash the window."""
    yield from broken("window")
'''
"""What stands for the packaged controls."""

OWN = '''
import pytest
from world import WORLD, look
from lab import saw
from pytest_k8ssec import Severity, control, sabotage


@pytest.mark.team
@control(severity=Severity.LOW, subject="cluster")
def test_net_ledger(judge, cluster, ledger):
    look(judge, "ledger")


@sabotage(test_net_ledger%(kills)s)
def open_ledger(cluster, ledger):
    """Let everybody in."""
    assert ledger == "the ledger"
    WORLD.update(ledger=True%(also)s)
    yield saw("done")
    WORLD.update(ledger=False, door=False)
'''


def own(*, kills: str = "", also: str = "") -> str:
    """A team's file: a control, and a sabotage that says and does this."""
    return OWN % {"kills": f", kills={kills}" if kills else "", "also": also}


@pytest.fixture
def team(lab: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with fixtures of its own, beside two controls that stand for the packaged ones."""
    from pytest_k8ssec.plugin import ordering

    lab.makeini("[pytest]\nmarkers = team: the team's own")
    lab.makeconftest(CONFTEST)
    lab.makepyfile(world=SHARED, test_a_packaged=PACKAGED)

    def packaged() -> tuple[object, ...]:
        import test_a_packaged  # type: ignore[import-not-found]

        from pytest_k8ssec.catalogue.annotated import control_of

        return control_of(test_a_packaged.test_net_door), control_of(test_a_packaged.test_net_window)

    monkeypatch.setattr(ordering, "packaged_controls", packaged)
    return lab


def ran(lab: pytest.Pytester, *options: str) -> tuple[pytest.RunResult, list[str]]:
    """What pytest said, and the tests in the order in which they ran."""
    result = lab.runpytest("-p", "no:cacheprovider", "--k8ssec-report=report", "--k8ssec-sabotage", "-v", *options)
    lines = [line.split()[0] for line in result.outlines if "::test_" in line and "%]" in line]
    return result, [line.partition("::")[2] for line in lines]


def entries(lab: pytest.Pytester) -> dict[str, dict[str, Any]]:
    """The report's results by test."""
    results: list[dict[str, Any]] = json.loads((lab.path / "report" / "report.json").read_text())["results"]
    assert len(results) == len({each["test"] for each in results})
    return {each["test"]: each for each in results}


PLAIN = [
    "test_net_door[intact]", "test_net_window[intact]", "test_net_ledger[intact]",
    "test_net_door[sabotaged]", "test_net_window[beside-unlock]", "test_net_ledger[beside-unlock]", "test_net_door[restored]",
    "test_net_window[sabotaged]", "test_net_door[beside-smash]", "test_net_ledger[beside-smash]", "test_net_window[restored]",
    "test_net_ledger[sabotaged]", "test_net_door[beside-open-ledger]", "test_net_window[beside-open-ledger]",
    "test_net_ledger[restored]",
]  # fmt: skip


@pytest.mark.parametrize("file", ["test_z_own", "test_0_own"], ids=["collected last", "collected first"])
def test_a_teams_control_has_all_phases_and_bystanders(team: pytest.Pytester, file: str) -> None:
    """Whether its file is read before those of the packaged ones or after them."""
    team.makepyfile(**{file: own()})
    result, tests = ran(team)
    assert pytest.ExitCode.OK == result.ret
    assert sorted(PLAIN) == sorted(tests)
    assert all(name.endswith("[intact]") for name in tests[:3])
    first = tests.index("test_net_ledger[sabotaged]")
    assert {"test_net_door[beside-open-ledger]", "test_net_window[beside-open-ledger]"} == set(
        tests[first + 1 : first + 3]
    )
    assert "test_net_ledger[restored]" == tests[first + 3]
    found = entries(team)["test_net_ledger[sabotaged]"]
    assert ("breached", "open-ledger") == (found["verdict"], found["sabotage"])
    result.stdout.fnmatch_lines(["open-ledger *net-ledger *held -> breached -> held"])
    result.stdout.fnmatch_lines(["*collected 15 items"])


def test_together_with_others_a_teams_sabotage_stays_by_itself(team: pytest.Pytester) -> None:
    """Whether it could be told apart from those is not known; what is packaged goes together as ever."""
    team.makepyfile(test_z_own=own())
    result, tests = ran(team, "--k8ssec-packed")
    assert pytest.ExitCode.OK == result.ret
    assert [
        "test_net_door[intact]", "test_net_window[intact]", "test_net_ledger[intact]",
        "test_net_door[sabotaged]", "test_net_window[sabotaged]", "test_net_ledger[beside-live-pack-1]",
        "test_net_door[restored]", "test_net_window[restored]",
        "test_net_ledger[sabotaged]", "test_net_door[beside-open-ledger]", "test_net_window[beside-open-ledger]",
        "test_net_ledger[restored]",
    ] == tests  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-k", "net-ledger"], ["intact", "sabotaged", "restored"]),
        (["-m", "team"], ["intact", "sabotaged", "restored"]),
        (["-m", "severity_low"], ["intact", "sabotaged", "restored"]),
        (["-k", "net-ledger and intact"], ["intact"]),
        (["-k", "net-ledger and sabotaged"], ["intact", "sabotaged"]),
    ],
)
def test_a_teams_control_is_chosen_as_others_are(
    team: pytest.Pytester, options: list[str], expected: list[str]
) -> None:
    """By its id, by marks of the team's, and by those that its decorator gives."""
    team.makepyfile(test_z_own=own())
    result, tests = ran(team, *options)
    assert pytest.ExitCode.OK == result.ret
    assert [f"test_net_ledger[{phase}]" for phase in expected] == tests
    result.stdout.fnmatch_lines(["*collected 15 items / * deselected / [123] selected"])


def test_bystanders_of_a_teams_sabotage_are_found_by_their_keywords(team: pytest.Pytester) -> None:
    """Also those that come to be only once all is collected."""
    team.makepyfile(test_z_own=own())
    _, tests = ran(team, "-k", "(net-ledger and sabotaged) or (net-door and beside-open-ledger)")
    assert "test_net_door[beside-open-ledger]" == tests[-1]
    _, tests = ran(team, "-m", "net and severity_high", "-k", "open-ledger")
    assert [] == tests  # without the control that must notice, the sabotage is not put in force


def test_a_teams_control_that_does_not_notice_survives(team: pytest.Pytester) -> None:
    """Held under its own sabotage is a failure, as of a packaged one."""
    team.makepyfile(test_z_own=own().replace("WORLD.update(ledger=True)", "pass"))
    result, _ = ran(team)
    result.stdout.fnmatch_lines(["SURVIVED: net-ledger did not notice the sabotage 'open-ledger'*"])
    assert pytest.ExitCode.TESTS_FAILED == result.ret


def test_what_a_teams_sabotage_does_besides_must_be_declared(team: pytest.Pytester) -> None:
    """A packaged control that it breaches is an unexpected kill; a declared one must be breached."""
    team.makepyfile(test_z_own=own(also=", door=True"))
    result, _ = ran(team)
    result.stdout.fnmatch_lines(["UNEXPECTED KILL: the sabotage 'open-ledger' breached net-door too*"])
    team.makepyfile(test_z_own=own(also=", door=True", kills='("net-door",)'))
    assert pytest.ExitCode.OK == ran(team)[0].ret
    team.makepyfile(test_z_own=own(kills='("net-door",)'))
    ran(team)[0].stdout.fnmatch_lines(["SURVIVED: net-door did not notice*"])


CONFIGURED = '''
from lab import saw
from world import look
from pytest_k8ssec import Severity, control, sabotage


@control(severity=Severity.LOW, subject="cluster")
def test_net_roof(judge, cluster):
    look(judge, "roof", also=bool(cluster.pack))


@sabotage(test_net_roof, proof=lambda cluster: saw("done"))
def no_roof(config):
    """Leave the roof out."""
    config.kubelet(roof=False)
'''


def test_a_teams_sabotage_of_the_configuration_has_a_cluster_of_its_own(team: pytest.Pytester) -> None:
    """As a packaged one has: only there the control sees no roof."""
    team.makepyfile(test_z_own=CONFIGURED)
    result, tests = ran(team, "-k", "net-roof or beside-no-roof")
    assert [f"test_net_roof[{phase}]" for phase in ("intact", "sabotaged", "restored")] == [
        each for each in tests if "roof[" in each
    ]
    assert {"test_net_door[beside-no-roof]", "test_net_window[beside-no-roof]"} < set(tests)
    assert pytest.ExitCode.OK == result.ret


def test_a_team_adds_a_sabotage_to_a_packaged_control(team: pytest.Pytester) -> None:
    """It is put in force by itself, also where its file is read last."""
    addition = '''
        from test_a_packaged import broken, test_net_door as door
        from pytest_k8ssec import sabotage


        @sabotage(door)
        def kick_in(cluster):
            """Kick the door in."""
            yield from broken("door")
    '''
    team.makepyfile(test_z_own=addition)
    result, tests = ran(team, "--k8ssec-packed")
    assert pytest.ExitCode.OK == result.ret
    assert {"test_net_door[sabotaged-kick-in]", "test_net_window[beside-kick-in]"} < set(tests)
    assert "kick-in" == entries(team)["test_net_door[sabotaged-kick-in]"]["sabotage"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("test_net_ledger", "test_net_door"), "*control net-door: *test_z_own.py:* and *test_a_packaged.py:* both define it*"),
        (("open_ledger", "smash"), "*sabotage 'smash' of net-ledger: net-window has one of that name*"),
    ],
    ids=["control", "sabotage"],
)  # fmt: skip
def test_a_name_that_is_taken_is_refused(team: pytest.Pytester, change: tuple[str, str], message: str) -> None:
    """What is said of the one could not be told from what is said of the other."""
    team.makepyfile(test_z_own=own().replace(*change))
    result, tests = ran(team)
    assert [] == tests
    assert pytest.ExitCode.INTERRUPTED == result.ret
    result.stdout.fnmatch_lines([message])


def test_a_name_that_turns_out_to_be_taken_once_all_is_collected_is_refused(team: pytest.Pytester) -> None:
    """A sabotage that a last file adds to a control which was collected before."""
    team.makepyfile(
        test_z_own="""
            from test_a_packaged import broken, test_net_door as door
            from pytest_k8ssec import sabotage


            @sabotage(door)
            def smash(cluster):
                yield from broken("door")
        """
    )
    result, tests = ran(team)
    assert [] == tests
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["ERROR: sabotage 'smash' of net-door: net-window has one of that name*"])


def test_what_a_teams_file_decides_is_not_taken_over_by_a_resumed_run(team: pytest.Pytester) -> None:
    """The journal does not know whether that file is still the same."""
    team.makepyfile(
        test_z_own=own().replace("    WORLD.update(ledger=False, door=False)", "    raise KeyboardInterrupt")
    )
    options = ("-p", "no:cacheprovider", "--k8ssec-report=report", "--k8ssec-sabotage", "--k8ssec-resume")
    first = team.inline_run(*options, no_reraise_ctrlc=True)
    assert pytest.ExitCode.INTERRUPTED == first.ret
    team.makepyfile(test_z_own=own())
    result, tests = ran(team, "--k8ssec-resume")
    assert pytest.ExitCode.OK == result.ret
    assert {"test_net_ledger[intact]", "test_net_ledger[beside-unlock]", "test_net_door[beside-open-ledger]"} < set(
        tests
    )
    assert "test_net_door[sabotaged]" not in tests
    assert 15 == len(entries(team))
