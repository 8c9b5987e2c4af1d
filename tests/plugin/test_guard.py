"""Whatever others define under our fixtures' names: packaged controls get ours, and say what they say without it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import pytest_k8ssec
from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, packaged_controls
from pytest_k8ssec.plugin import guard

MOCKS = """
import pytest
from unittest.mock import MagicMock


def mock(name):
    @pytest.fixture(name=name, scope="session")
    def made():
        return MagicMock()
    return made


for name in %(names)r:
    globals()[f"fixture_{name}"] = mock(name)
"""
NAMES = (*sorted(guard.guarded_names()), "pytestconfig")
CHOICE = tuple(
    str(CONTROLS_FOLDER / name)
    for name in (
        "etcd/client_auth.py",
        "rbac/secrets_read.py",
        "net/ingress_deny.py",
        "blast/radius.py",
        "node/cred_files.py",
    )
)
"""Between them they ask for the cluster, the stack, pods, nodes, the outside and the walk."""

Verdicts = Mapping[str, tuple[str, str, str]]


def mocks(*names: str) -> str:
    """A conftest, or a plugin, that defines these."""
    return MOCKS % {"names": names or NAMES}


def told(pytester: pytest.Pytester, *options: str, alone: bool = False) -> Verdicts:
    """By test and phase: the verdict, its reason, and what was tried.

    Args:
        alone: whether it needs a process of its own.
    """
    folder = pytester.path / "report"
    shutil.rmtree(folder, ignore_errors=True)
    run = pytester.runpytest_subprocess if alone else pytester.runpytest_inprocess
    # Without the folder its conftest is not loaded, and without the file another folder may be the root.
    result = run("-c", "tox.ini", "-p", "no:cacheprovider", f"--k8ssec-report={folder}", *options, ".")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    assert "passed" not in result.parseoutcomes()
    entries: list[dict[str, Any]] = json.loads((folder / "report.json").read_text())["results"]
    return {each["test"]: (each["verdict"], each["reason"], json.dumps(each["attacks"])) for each in entries}


@pytest.fixture
def here(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project's folder, from which an inner pytest can import what lies in it."""
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.syspathinsert()
    pytester.makeini("[pytest]")
    return pytester


def test_all_fixtures_of_ours_are_known() -> None:
    """The names are found where the fixtures are defined."""
    assert {
        "allowed", "attacker", "blast_radius", "cluster", "deployed", "judge", "k8ssec_phase", "k8ssec_sampling", "k8ssec_testbed",
        "k8ssec_testbeds", "nodes", "outside", "pool", "reachability", "stack", "twin",
    } == guard.guarded_names()  # fmt: skip


def test_our_fixtures_rest_on_nothing_that_others_may_define(request: pytest.FixtureRequest) -> None:
    """They ask for one another and for ``request``; each is found where the plugin registered it."""
    for name, found in guard.own_fixtures(request.session).items():
        (one,) = found
        assert set(one.argnames) <= {*guard.guarded_names(), "request"}, name


@pytest.mark.parametrize("options", [["-n", "2"], ["--import-mode=importlib"]], ids=" ".join)
def test_mocks_in_a_root_conftest_change_no_verdict(here: pytest.Pytester, options: list[str]) -> None:
    """All controls, entry by entry, say what they say without it; also in workers."""
    without = told(here, "--k8ssec-controls")
    here.makeconftest(mocks())
    assert without == told(here, "--k8ssec-controls", *options)
    assert len(packaged_controls()) == len(without)


def test_mocks_of_a_plugin_change_no_verdict(here: pytest.Pytester) -> None:
    """A plugin given by -p is registered before ours, one of a conftest after it."""
    without = told(here, *CHOICE)
    here.makepyfile(mocking=mocks())
    assert without == told(here, *CHOICE, "-p", "mocking", alone=True)
    here.makeconftest("pytest_plugins = ['mocking']")
    assert without == told(here, *CHOICE)


@pytest.mark.parametrize("name", ["judge", "cluster", "k8ssec_testbed", "k8ssec_testbeds", "pytestconfig"])
def test_one_mock_changes_no_verdict(here: pytest.Pytester, name: str) -> None:
    """Each name by itself: the others are ours then, and rest on it."""
    without = told(here, *CHOICE)
    here.makeconftest(mocks(name))
    assert without == told(here, *CHOICE)


@pytest.mark.parametrize(
    "conftest",
    [
        "import pytest\n@pytest.fixture(autouse=True)\ndef stack():\n    raise RuntimeError('theirs')\n",
        "import pytest\n@pytest.fixture(params=['a', 'b'])\ndef cluster(request): return request.param\n",
        (
            "import pytest\n@pytest.fixture\ndef cluster(): return {}\n"
            "@pytest.fixture(autouse=True)\ndef prepared(cluster):\n    cluster['nodes'] = []\n"
        ),
        (
            "import pytest\n@pytest.fixture\ndef docker_client():\n    raise RuntimeError('theirs')\n"
            "@pytest.fixture\ndef cluster(docker_client): return docker_client\n"
        ),
        "from pytest_k8ssec.plugin.fixtures import cluster, judge\n",
        (
            "import functools, pytest\nfrom pytest_k8ssec.plugin import fixtures\n"
            "def mine(): return None\nmine.__module__ = fixtures.__name__\njudge = pytest.fixture(mine, name='judge')\n"
        ),
    ],
    ids=["autouse", "with parameters", "autouse that rests on it", "rests on others", "imported", "disguised"],
)
def test_other_ways_to_define_a_fixture_change_no_verdict(here: pytest.Pytester, conftest: str) -> None:
    """What is run without being asked for, given in several ways, or resting on more."""
    without = told(here, *CHOICE)
    here.makeconftest(conftest)
    assert without == told(here, *CHOICE)


def test_fixtures_that_the_ini_file_asks_for_change_no_verdict(here: pytest.Pytester) -> None:
    """``usefixtures`` of a project is about its own tests."""
    anonymous = str(CONTROLS_FOLDER / "kubelet" / "anon.py")
    without = told(here, anonymous)
    here.makeini("[pytest]\nusefixtures = stack\n")
    assert without == told(here, anonymous)


@pytest.mark.parametrize("indirect", ["True", "False"])
def test_values_put_in_place_of_a_fixture_are_not_taken(here: pytest.Pytester, indirect: str) -> None:
    """A hook that parametrizes whatever asks for one of ours: each of the tests says what the one says without it."""
    without = told(here, *CHOICE)
    here.makepyfile(  # a hook of a conftest is not asked about what lies beside its folder
        answering=mocks()
        + f"""
def pytest_generate_tests(metafunc):
    asked = [name for name in {sorted(guard.guarded_names())!r} if name in metafunc.fixturenames]
    metafunc.parametrize(asked, [[MagicMock() for _ in asked] for _ in range(2)], indirect={indirect}, scope="session")
"""
    )
    found = told(here, *CHOICE, "-p", "answering")
    assert {name.partition("[")[0]: verdict for name, verdict in found.items()} == without
    assert len(found) == 2 * len(without)


def test_values_put_in_place_of_what_a_fixture_gave_are_refused(here: pytest.Pytester) -> None:
    """A hook that gives a test its arguments itself."""
    here.makepyfile(
        answering=mocks() + "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_setup(item):\n"
        "    item.funcargs.update({name: MagicMock() for name in item.fixturenames if name != 'request'})\n"
    )
    found = told(here, *CHOICE, "-p", "answering")
    assert found
    for verdict, reason, attacks in found.values():
        assert ("inconclusive", "[]") == (verdict, attacks)
        assert "not what our fixtures gave" in reason


def test_the_phases_of_a_sabotage_reach_each_control(here: pytest.Pytester) -> None:
    """Under --k8ssec-sabotage: a foreign ``judge`` knows nothing of phases, and must not hide them."""
    options = (CHOICE[0], str(CONTROLS_FOLDER / "api" / "authz.py"), "--k8ssec-sabotage")
    without = told(here, *options)
    here.makeconftest(mocks())
    assert without == told(here, *options)
    assert "test_etcd_client_auth[sabotaged]" in without


def test_an_imported_control_is_a_packaged_one(here: pytest.Pytester) -> None:
    """Its id in a report stands for our code on a real cluster."""
    here.makepyfile(test_ours="from pytest_k8ssec.controls.etcd.client_auth import test_etcd_client_auth\n")
    without = told(here)
    here.makeconftest(mocks())
    assert without == told(here)


def test_a_copy_inside_the_project_with_mocks_on_the_way(
    here: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment in the project's folder: conftests of the root, and of folders between, see its controls."""
    site = here.path / ".venv" / "lib" / "site-packages"
    shutil.copytree(
        Path(pytest_k8ssec.__file__).parent, site / "pytest_k8ssec", ignore=shutil.ignore_patterns("__pycache__")
    )
    (here.path / ".venv" / "pyvenv.cfg").touch()
    monkeypatch.setenv("PYTHONPATH", str(site))
    without = told(here, "--k8ssec-controls", alone=True)
    for folder in (here.path, here.path / ".venv" / "lib"):
        (folder / "conftest.py").write_text(mocks())
    assert without == told(here, "--k8ssec-controls", alone=True)
    assert len(packaged_controls()) == len(without)


def test_tests_and_controls_of_a_user_keep_theirs(here: pytest.Pytester) -> None:
    """The nearest fixture wins, as everywhere in pytest, beside packaged controls too."""
    here.makeconftest("import pytest\n@pytest.fixture\ndef cluster(): return 'theirs'\n")
    here.makepyfile(
        """
        from pytest_k8ssec.catalogue.control import Severity, control

        def test_mine(cluster): assert cluster == "theirs"

        @control(severity=Severity.LOW, subject="cluster")
        def test_net_mine(judge, cluster):
            assert cluster == "theirs"
            judge.not_applicable("seen")
        """
    )
    result = here.runpytest("-c", "tox.ini", ".", CHOICE[0], "--k8ssec-strict=off")
    result.assert_outcomes(passed=1, skipped=1, errors=1)


def test_a_packaged_sabotage_gets_ours_also_before_a_users_control(here: pytest.Pytester) -> None:
    """What it breaks is the cluster of this run, whoever's test stands beside it; a team's own sabotage gets theirs."""
    here.makeconftest("import pytest\n@pytest.fixture\ndef cluster(): return 'theirs'\n")
    here.makepyfile(
        """
        import pytest
        from pytest_k8ssec.plugin import guard
        from pytest_k8ssec.catalogue.packaged import packaged_controls
        from pytest_k8ssec.catalogue.control import Severity, control, sabotage
        from pytest_k8ssec.sabotages.packs import Pack

        @control(severity=Severity.LOW, subject="cluster")
        def test_net_mine(judge, cluster): pass

        @sabotage(test_net_mine)
        def broken(cluster): yield

        def test_which(request, cluster):
            ours = next(each for control in packaged_controls() for each in control.sabotages if each.live)
            theirs = test_net_mine.__k8ssec_control__.sabotages[0]
            assert guard.resolver(request.node, Pack.alone(theirs))("cluster") == "theirs"
            resolve = guard.resolver(request.node, Pack.alone(ours))
            with pytest.raises(pytest.fail.Exception, match="docker: no client"):
                resolve("cluster")
            assert request.getfixturevalue("cluster") == "theirs"
        """
    )
    here.runpytest("-k", "which").assert_outcomes(passed=1, deselected=1)


def test_the_controls_lie_where_the_catalogue_says(tmp_path: Path) -> None:
    """Also by another way to the same place."""
    from pytest_k8ssec.catalogue.packaged import is_control_file

    link = tmp_path / "controls"
    link.symlink_to(CONTROLS_FOLDER)
    assert is_control_file(link / "etcd" / "client_auth.py")
    assert not is_control_file(tmp_path / "etcd" / "client_auth.py")
