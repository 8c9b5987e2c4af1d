"""Whether a control may run beside others: nobody else must have a say in whether it runs at all."""

from __future__ import annotations

import pytest

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER

REVOCATION = str(CONTROLS_FOLDER / "id" / "token_revocation.py")
TELLS = """
import pytest
from pytest_k8ssec.plugin.background import may_run_apart

def pytest_collection_finish(session):
    print("apart:", [item.name for item in session.items if may_run_apart(item)])
"""
APART = "apart: [[]'test_id_token_revocation'[]]"
NONE = "apart: [[][]]"


def told(pytester: pytest.Pytester, plugin: str) -> pytest.RunResult:
    """What is said of the control where a project has this plugin."""
    pytester.syspathinsert()
    pytester.makepyfile(telling=TELLS + plugin)
    return pytester.runpytest(REVOCATION, "--collect-only", "-q", "-s", "-p", "telling")


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        ("def pytest_runtest_setup(item): pytest.skip('not here')\n", NONE),
        ("def pytest_runtest_call(item): pass\n", NONE),
        ("def pytest_pyfunc_call(pyfuncitem): pass\n", NONE),
        ("@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_protocol(item): return (yield)\n", NONE),
        ("def pytest_itemcollected(item): item.add_marker('skip')\n", NONE),
        ("def pytest_itemcollected(item): item.add_marker(pytest.mark.xfail(run=False))\n", NONE),
        ("@pytest.fixture(autouse=True)\ndef mine(): pytest.skip('not here')\n", NONE),
    ],
    ids=["set-up", "call", "function", "protocol", "skip", "xfail", "autouse"],
)
def test_who_may_keep_a_test_from_running_keeps_it_at_its_turn(
    pytester: pytest.Pytester, plugin: str, expected: str
) -> None:
    """A hook, a mark and a fixture are all asked first."""
    told(pytester, plugin).stdout.fnmatch_lines([expected])


def test_a_project_that_has_no_say_leaves_it_to_us(pytester: pytest.Pytester) -> None:
    """Else nothing would ever overlap."""
    told(pytester, "").stdout.fnmatch_lines([APART])
