"""The packaged controls are found by path, package, id, family, framework and severity, and run beside users' tests."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, packaged_controls

IDS = sorted(control.id for control in packaged_controls())


class _Chosen:
    """Keeps what is left once everything has chosen."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Called after the last deselection."""
        self.items = list(session.items)


def chosen(pytester: pytest.Pytester, *options: str) -> list[pytest.Item]:
    """What would run with these options."""
    keeper = _Chosen()
    pytester.inline_run("--collect-only", "-q", *options, plugins=[keeper])
    assert len({item.nodeid for item in keeper.items}) == len(keeper.items)
    return keeper.items


def collected(pytester: pytest.Pytester, *options: str) -> list[str]:
    """Ids of the controls that these options choose, or names of other tests."""
    return sorted(item.name.removeprefix("test_").replace("_", "-") for item in chosen(pytester, *options))


def having(mark: str) -> list[str]:
    """Ids of the controls whose metadata say so."""
    found = []
    for control in packaged_controls():
        frameworks = [name for name, ids in control.mappings.items() if ids]
        marks = [control.family.id, f"severity_{control.severity}", *frameworks, *(["slow"] if control.slow else [])]
        if mark in marks:
            found.append(control.id)
    return sorted(found)


def test_without_an_option_no_control_is_collected(pytester: pytest.Pytester) -> None:
    """A project's own tests stay alone unless controls are asked for."""
    pytester.makepyfile("def test_mine(): pass")
    assert ["mine"] == collected(pytester)


def test_controls_are_collected_beside_the_users_own_tests(pytester: pytest.Pytester) -> None:
    """--k8ssec-controls adds every packaged control once."""
    pytester.makepyfile("def test_mine(): pass")
    assert sorted([*IDS, "mine"]) == collected(pytester, "--k8ssec-controls")


@pytest.mark.parametrize("name", ["k8ssec_controls", "K8SSEC_CONTROLS", "tool"])
def test_controls_can_be_asked_for_in_each_place(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The ini file, the environment and pyproject.toml do what the command line does."""
    if name == "tool":
        pytester.makepyprojecttoml("[tool.pytest.ini_options]\n[tool.k8ssec]\ncontrols = true")
    elif name.isupper():
        monkeypatch.setenv(name, "true")
    else:
        pytester.makeini(f"[pytest]\n{name} = true")
    assert IDS == collected(pytester)


@pytest.mark.parametrize("python_files", ["test_*.py", "*.py", "check_*.py"])
def test_each_control_is_collected_once_whatever_python_files_says(
    pytester: pytest.Pytester, python_files: str
) -> None:
    """A project's own naming of test files neither hides nor doubles a control."""
    pytester.makeini(f"[pytest]\npython_files = {python_files}")
    assert IDS == collected(pytester, "--k8ssec-controls")


def test_the_package_of_controls_can_be_named(pytester: pytest.Pytester) -> None:
    """--pyargs runs the controls alone."""
    pytester.makepyfile("def test_mine(): pass")
    assert IDS == collected(pytester, "--pyargs", "pytest_k8ssec.controls")


def test_one_control_can_be_named_by_module_and_by_file(pytester: pytest.Pytester) -> None:
    """A single control is found once by either name."""
    assert ["etcd-client-auth"] == collected(pytester, "--pyargs", "pytest_k8ssec.controls.etcd.client_auth")
    assert ["etcd-client-auth"] == collected(pytester, str(CONTROLS_FOLDER / "etcd" / "client_auth.py"))


@pytest.mark.parametrize("options", [[], ["--k8ssec-controls"]], ids=["alone", "with the option"])
@pytest.mark.parametrize(
    "printed", ["etcd-client-auth", "etcd/client_auth.py", "etcd/client_auth.py::test_etcd_client_auth"]
)
def test_a_printed_id_can_be_pasted(pytester: pytest.Pytester, printed: str, options: list[str]) -> None:
    """A control's, and a test's as pytest prints it where the package lies outside of the project: that one, no others."""
    assert 1 == len(collected(pytester, printed, *options))


def test_a_file_of_the_user_s_is_no_id(pytester: pytest.Pytester) -> None:
    """Whatever it is called; and what is neither is an error of pytest's own."""
    pytester.mkdir("etcd-client-auth").joinpath("test_it.py").write_text("def test_mine(): pass\n")
    assert ["mine"] == collected(pytester, "etcd-client-auth")
    assert pytest.ExitCode.USAGE_ERROR == pytester.runpytest("etcd-client-aut").ret


def test_naming_the_folder_and_the_option_collects_once(pytester: pytest.Pytester) -> None:
    """The controls' own folder beside --k8ssec-controls doubles nothing."""
    assert IDS == collected(pytester, "--k8ssec-controls", str(CONTROLS_FOLDER))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("etcd-client-auth", ["etcd-client-auth"]),
        ("etcd", having("etcd")),
        ("etcd or rbac", sorted(having("etcd") + having("rbac"))),
        ("not etcd", [each for each in IDS if each not in having("etcd")]),
    ],
)
def test_a_control_is_found_by_its_id(pytester: pytest.Pytester, expression: str, expected: list[str]) -> None:
    """-k knows the ids as they are written in reports."""
    assert expected == collected(pytester, "--k8ssec-controls", "-k", expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("etcd", having("etcd")),
        ("net", having("net")),
        ("cis and not slow", [each for each in having("cis") if each not in having("slow")]),
        ("slow", having("slow")),
        ("severity_critical", having("severity_critical")),
        ("severity_high and mitre", [each for each in having("severity_high") if each in having("mitre")]),
        (
            "owasp and nsa and others",
            [each for each in having("owasp") if each in having("nsa") and each in having("others")],
        ),
        ("wl", having("wl")),
    ],
)
def test_a_control_is_found_by_its_marks(pytester: pytest.Pytester, expression: str, expected: list[str]) -> None:
    """-m knows families, frameworks, severities and what is slow, exactly."""
    assert expected == collected(pytester, "--k8ssec-controls", "-m", expression)


def test_marks_are_registered(pytester: pytest.Pytester) -> None:
    """--markers lists families, frameworks and severities, and --strict-markers accepts them."""
    result = pytester.runpytest("--markers")
    for mark in ("etcd", "net", "cis", "owasp", "severity_critical", "slow", "live_sabotage", "own_cluster_sabotage"):
        result.stdout.fnmatch_lines([f"@pytest.mark.{mark}: *"])
    assert IDS == collected(pytester, "--k8ssec-controls", "--strict-markers")


def test_node_ids_end_in_family_file_and_function(pytester: pytest.Pytester) -> None:
    """A control's node id reads as where it stands."""
    items = chosen(pytester, "--k8ssec-controls", "-k", "etcd-client-auth")
    (nodeid,) = [item.nodeid for item in items]
    assert nodeid.endswith("etcd/client_auth.py::test_etcd_client_auth")


def test_a_user_can_import_a_control_into_a_test_file(pytester: pytest.Pytester) -> None:
    """An imported control is a test of that file, and found by its id and marks."""
    pytester.makepyfile(
        test_ours="""
        from pytest_k8ssec.controls.etcd.client_auth import test_etcd_client_auth
        def test_mine(): pass
        """
    )
    items = chosen(pytester, "-k", "etcd-client-auth", "-m", "etcd and severity_critical")
    assert ["test_ours.py::test_etcd_client_auth"] == [item.nodeid for item in items]


def test_other_files_among_the_controls_are_no_controls(pytester: pytest.Pytester) -> None:
    """Package files, and files elsewhere, are not collected as controls."""
    pytester.makepyfile(helper="def test_hidden(): pass")
    assert [] == collected(pytester, str(CONTROLS_FOLDER / "__init__.py"), "-p", "no:k8ssec-nothing")
    assert [] == collected(pytester)


@pytest.mark.parametrize(
    "options",
    [["--help"], ["--fixtures"], ["--markers"], ["--k8ssec-controls", "--collect-only"],
     ["--k8ssec-controls", "--setup-plan"], ["--k8ssec-controls", "--k8ssec-sabotage", "--collect-only"],
     ["--k8ssec-controls", "--k8ssec-sabotage", "--k8ssec-packed", "--collect-only"]],
    ids=" ".join,
)  # fmt: skip
def test_looking_around_needs_no_docker(pytester: pytest.Pytester, options: list[str], tmp_path: Path) -> None:
    """Help, fixtures, markers, collection and the set-up plan work where there is no docker, and record no run."""
    result = pytester.runpytest(*options)
    assert pytest.ExitCode.OK == result.ret
    assert not (tmp_path / "state").exists()


CHILDREN = """
import psutil

def pytest_collection_finish():
    print("\\nchildren:", [each.pid for each in psutil.Process().children() if "pytest_k8ssec.stack.child" in each.cmdline()])
"""


@pytest.mark.parametrize(
    ("options", "begun"),
    [
        (["--k8ssec-controls", "--k8ssec-stack", "."], True),
        (["--k8ssec-controls"], False),
        (["--k8ssec-stack", "."], False),
        (["--k8ssec-controls", "--k8ssec-stack", ".", "--k8ssec-serial"], False),
        (["--k8ssec-controls", "--k8ssec-stack", ".", "--collect-only"], False),
        (["--k8ssec-controls", "--k8ssec-stack", ".", "--setup-plan"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_pulumis_process_starts_while_controls_are_collected(
    pytester: pytest.Pytester, options: list[str], begun: bool
) -> None:
    """Where a run of the controls of a stack is asked for; and where it comes to nothing, the process goes with it."""
    pytester.makefile(".yaml", Pulumi="name: shop\nruntime: python\n")
    pytester.makeconftest(CHILDREN)
    result = pytester.runpytest_subprocess(*options, "-s", "-k", "there_is_no_such_test")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    (line,) = [line for line in result.outlines if line.startswith("children:")]
    pids = json.loads(line.removeprefix("children: "))
    assert begun == bool(pids)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_help_names_every_option_and_ini_value(pytester: pytest.Pytester) -> None:
    """Options and ini names are both told."""
    text = pytester.runpytest("--help").stdout.str()
    for name in ("--k8ssec-cluster=NAME", "--k8ssec-stack=DIR", "--k8ssec-keep=WHEN", "k8ssec_config (linelist)"):
        assert name in text


def test_fixtures_for_users_are_told_with_their_use(pytester: pytest.Pytester) -> None:
    """--fixtures shows the plain words of the plugin with their docstrings."""
    text = pytester.runpytest("--fixtures").stdout.str()
    for name in (
        "cluster [session scope]",
        "stack [session scope]",
        "nodes [session scope]",
        "reachability [session scope]",
        "attacker",
        "twin",
        "judge",
    ):
        assert f"\n{name} -- " in text


def test_a_sabotage_run_gives_each_control_its_phases(pytester: pytest.Pytester) -> None:
    """Each control comes as intact, sabotaged and restored, and beside the other controls' sabotages."""
    items = chosen(pytester, "--k8ssec-controls", "--k8ssec-sabotage", "-k", "etcd-client-auth")
    names = [item.name for item in items]
    assert [
        "test_etcd_client_auth[intact]",
        "test_etcd_client_auth[sabotaged]",
        "test_etcd_client_auth[restored]",
    ] == names


def test_a_whole_sabotage_run_has_a_bystander_for_each_pair(pytester: pytest.Pytester) -> None:
    """Of all pairs of a sabotage and another control only those are left out that have nothing to judge."""
    items = chosen(pytester, "--k8ssec-controls", "--k8ssec-sabotage")
    expected = 0
    for control in packaged_controls():
        expected += 1 + 2 * len(control.sabotages)
        for other in packaged_controls():
            if other is not control:
                expected += sum(not (each.needs_cluster and control.subject == "stack") for each in other.sabotages)
    assert expected == len(items)


@pytest.mark.parametrize(
    "given", [(), ("--k8ssec-controls", "test_mine.py"), ("--k8ssec-controls", "test_mine.py::test_mine")]
)
def test_the_setting_adds_controls_where_nothing_else_is_named(
    pytester: pytest.Pytester, given: tuple[str, ...]
) -> None:
    """No path, or asked for on the command line as well."""
    pytester.makepyfile(test_mine="def test_mine(): pass")
    pytester.makepyprojecttoml("[tool.k8ssec]\ncontrols = true\n")
    assert sorted([*IDS, "mine"]) == collected(pytester, *given)


@pytest.mark.parametrize("given", ["test_mine.py", "test_mine.py::test_mine", "."])
def test_the_setting_adds_none_to_what_is_named(pytester: pytest.Pytester, given: str) -> None:
    """Whoever runs one test of his does not wait for a cluster; that no control was run is told."""
    pytester.makepyfile(test_mine="def test_mine(): pass")
    pytester.makepyprojecttoml("[tool.k8ssec]\ncontrols = true\n")
    ran = pytester.runpytest_inprocess("-q", given)
    ran.assert_outcomes(passed=1)
    ran.stdout.fnmatch_lines(["k8ssec: the packaged controls were not run, as paths were given*"])


def test_named_paths_need_no_word_without_the_setting(pytester: pytest.Pytester) -> None:
    """Nobody asked for controls."""
    pytester.makepyfile(test_mine="def test_mine(): pass")
    ran = pytester.runpytest_inprocess("test_mine.py")
    ran.stdout.no_fnmatch_line("*packaged controls*")


def test_paths_in_the_ini_file_are_no_choice_of_this_run(pytester: pytest.Pytester) -> None:
    """With `testpaths` no path is given: the controls run."""
    pytester.makepyfile(test_mine="def test_mine(): pass")
    pytester.makepyprojecttoml(
        "[tool.k8ssec]\ncontrols = true\n[tool.pytest.ini_options]\ntestpaths = ['test_mine.py']\n"
    )
    assert sorted([*IDS, "mine"]) == collected(pytester)


def test_the_setting_can_be_overridden(pytester: pytest.Pytester) -> None:
    """--no-k8ssec-controls is stronger than what other places say."""
    pytester.makepyfile(test_mine="def test_mine(): pass")
    pytester.makepyprojecttoml("[tool.k8ssec]\ncontrols = true\n")
    assert ["mine"] == collected(pytester, "--no-k8ssec-controls")
