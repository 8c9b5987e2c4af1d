"""No verdict is no pass: neither of one control, nor of a run in which controls were chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER

AUTHZ = str(CONTROLS_FOLDER / "api" / "authz.py")
TLS = str(CONTROLS_FOLDER / "api" / "tls.py")
NOTHING = "NO VERDICT: * controls were chosen, and none of them was judged"

SETS_UP = """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    try:
        return (yield)
    except BaseException:
        return None
"""
"""What an answer in our place needs where there is no cluster: that the set-up's failure is swallowed."""


def results(pytester: pytest.Pytester) -> list[dict[str, Any]]:
    """What report.json has."""
    found: list[dict[str, Any]] = json.loads((pytester.path / "report" / "report.json").read_text())["results"]
    return found


@pytest.fixture
def here(lab: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a plugin, to be filled, and a test that passes."""
    monkeypatch.setenv("PYTHONPATH", str(lab.path))
    lab.makepyfile(test_mine="def test_mine(): pass\n")
    lab.makeini("[pytest]\naddopts = -p no:cacheprovider --k8ssec-report=report\n")
    return lab


def answering(pytester: pytest.Pytester, text: str) -> None:
    """A plugin that does this."""
    pytester.makepyfile(answering=f"import pytest\nfrom lab import held, breached\n{text}")


@pytest.mark.parametrize(
    "hook",
    [
        SETS_UP + "@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem): return True\n",
        SETS_UP + "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_call(item): item.runtest = lambda: None\n",
        "def pytest_itemcollected(item): item.setup = item.runtest = lambda: None\n",
        SETS_UP + "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_runtest_call(item):\n"
        "    try:\n        return (yield)\n    except BaseException:\n        return None\n",
        (
            "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_makereport(item, call):\n"
            "    return pytest.TestReport(item.nodeid, item.location, {}, 'passed', None, call.when)\n"
        ),
    ],
    ids=["answers the call", "replaces the test", "replaces all of it", "swallows what was said", "makes reports"],
)
def test_a_control_that_passes_without_a_verdict_fails(here: pytest.Pytester, hook: str) -> None:
    """Whoever made it so: it is inconclusive, and says why."""
    answering(here, hook)
    result = here.runpytest("-c", "tox.ini", AUTHZ, "-p", "answering")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    assert "passed" not in result.parseoutcomes()


def test_it_says_that_nothing_was_judged(here: pytest.Pytester) -> None:
    """The words are in the terminal and in the report."""
    answering(here, "def pytest_itemcollected(item): item.setup = item.runtest = lambda: None\n")
    result = here.runpytest("-c", "tox.ini", AUTHZ, "-p", "answering")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["api-authz  inconclusive: *a hook or a plugin answered in its place*"])
    (entry,) = results(here)
    assert ("api-authz", "inconclusive") == (entry["control"], entry["verdict"])


def test_a_verdict_of_ours_can_not_be_passed_over(here: pytest.Pytester) -> None:
    """A test of a user's own that was breached fails, whoever swallowed that."""
    answering(
        here,
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem):\n"
        "    try:\n        return (yield)\n    except BaseException:\n        return True\n",
    )
    here.makepyfile(test_mine="from lab import breached\ndef test_door(judge): breached(judge)\n")
    result = here.runpytest("-p", "answering")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["test_door  breached: *"])


def test_a_second_try_does_not_live_on_the_first(here: pytest.Pytester) -> None:
    """A result of an earlier try of the same test says nothing of this one."""
    answering(
        here,
        """
from _pytest.runner import runtestprotocol

class _Silent:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item): item.runtest = lambda: None

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, nextitem=None, log=False)
    item.setup = lambda: None
    item.config.pluginmanager.register(_Silent())
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    runtestprotocol(item, nextitem=nextitem)
    return True
""",
    )
    result = here.runpytest("-c", "tox.ini", AUTHZ, "-p", "answering")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*answered in its place*"])


@pytest.mark.parametrize(
    "hook",
    [
        (
            "def pytest_collection_modifyitems(items):\n    for item in items:\n        if 'mine' not in item.name:\n"
            "            item.add_marker(pytest.mark.skip(reason='not now'))\n"
        ),
        (
            "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_setup(item):\n    if 'mine' not in item.name:\n"
            "        pytest.skip('not now')\n"
        ),
        (
            "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_protocol(item):\n"
            "    return True if 'mine' not in item.name else None\n"
        ),
        (
            "@pytest.hookimpl(trylast=True)\ndef pytest_collection_modifyitems(items):\n"
            "    items[:] = [item for item in items if 'mine' in item.name]\n"
        ),
        (
            "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtestloop(session):\n"
            "    gone = [item for item in session.items if 'mine' not in item.name]\n"
            "    session.config.hook.pytest_deselected(items=gone)\n"
            "    session.items[:] = [item for item in session.items if item not in gone]\n"
        ),
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtestloop(session): return True\n",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_protocol(item):\n    pytest.exit('enough', returncode=0)\n",
    ],
    ids=["marked", "skipped by a hook", "answered", "dropped", "late", "not begun", "ended"],
)
def test_a_run_in_which_no_control_got_a_verdict_fails(here: pytest.Pytester, hook: str) -> None:
    """Also where a test of the user's own passed, and held."""
    answering(here, hook)
    here.makepyfile(test_mine="from lab import held\ndef test_mine(judge): held(judge)\n")
    result = here.runpytest("-c", "tox.ini", "test_mine.py", AUTHZ, TLS, "-p", "answering", "--k8ssec-strict=off")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines([NOTHING.replace("*", "2")])


def test_workers_tell_the_controller_what_was_chosen(here: pytest.Pytester) -> None:
    """The controller collects nothing itself, and decides."""
    answering(
        here,
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_setup(item):\n    if 'mine' not in item.name:\n"
        "        pytest.skip('not now')\n",
    )
    options = ("-c", "tox.ini", "-p", "answering", "--k8ssec-strict=off", "-n", "2")
    result = here.runpytest_subprocess(*options, "test_mine.py", AUTHZ, TLS)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines([NOTHING.replace("*", "2")])


def test_what_had_nothing_to_judge_got_a_verdict(here: pytest.Pytester) -> None:
    """Not-applicable from a run is a verdict; that line is not said then."""
    here.makepyfile(
        test_mine="""
        from lab import held
        from pytest_k8ssec.catalogue.control import Severity, control

        def test_door(judge): held(judge)

        @control(severity=Severity.LOW, subject="cluster")
        def test_net_mine(judge): judge.not_applicable("no doors")
        """
    )
    result = here.runpytest("--k8ssec-strict=off")
    assert pytest.ExitCode.OK == result.ret
    result.stdout.no_fnmatch_line("NO VERDICT*")


@pytest.mark.parametrize(
    "options",
    [["--collect-only"], ["--setup-plan"], ["--fixtures"], ["--fixtures-per-test"], ["--help"], ["--markers"]],
    ids=" ".join,
)
def test_looking_around_is_no_run(here: pytest.Pytester, options: list[str]) -> None:
    """What only lists or plans is not held to it."""
    result = here.runpytest("-c", "tox.ini", AUTHZ, *options)
    assert pytest.ExitCode.OK == result.ret
    result.stdout.no_fnmatch_line("NO VERDICT*")


def test_who_deselects_the_controls_did_not_choose_them(here: pytest.Pytester) -> None:
    """A run of the project's own tests is one, whatever else was collected."""
    result = here.runpytest("-c", "tox.ini", "test_mine.py", AUTHZ, "-k", "test_mine")
    assert pytest.ExitCode.OK == result.ret
    result.stdout.no_fnmatch_line("NO VERDICT*")


@pytest.mark.parametrize("options", [["-k", "no-such-control"], ["-m", "slow and adm and etcd"]], ids=" ".join)
def test_a_choice_that_matches_nothing_is_no_pass(here: pytest.Pytester, options: list[str]) -> None:
    """pytest's own exit code for that stands."""
    assert pytest.ExitCode.NO_TESTS_COLLECTED == here.runpytest("--k8ssec-controls", *options).ret
