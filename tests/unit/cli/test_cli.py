"""The command ``k8ssec``: what it prints, and its exit codes."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_k8ssec import cli
from pytest_k8ssec.attack.graph import Graph
from pytest_k8ssec.attack.weak_pod import ALWAYS_SHOWN, SHOWN_BY_RIGHTS
from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.frameworks import reference
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.cli import blast, clusters, main
from pytest_k8ssec.cli import controls as controls_command
from pytest_k8ssec.errors import ClusterError, K8ssecError, ProbeError, SabotageError, SettingsError
from pytest_k8ssec.machine import docker, releases
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.signals import Terminated
from pytest_k8ssec.settings import OPTIONS
from pytest_k8ssec.stack import Workload
from tests.unit.attack.graphs import KEY, SHOP, TO_ADMIN, edge, graph
from tests.unit.machine.dockers import FakeDocker

COMMANDS = (
    "init", "doctor", "controls", "config", "up", "down", "list", "sweep", "cache", "reach", "blast", "diff", "report", "completion",
)  # fmt: skip


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pyproject.toml of anybody is read."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``says(*arguments, code=0)``: both outputs of the command, which ends with that exit code."""

    def run(*arguments: str, code: int = 0) -> str:
        try:
            ended = main(arguments)
        except SystemExit as exit_:
            ended = int(exit_.code or 0)
        output = "".join(capsys.readouterr())
        assert code == ended, output
        return output

    return run


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch, says: Callable[..., str]) -> Callable[[BaseException, int], str]:
    """What the command says where its work ends in that way."""

    def run(ended_by: BaseException, code: int) -> str:
        def work(_: argparse.Namespace) -> int:
            raise ended_by

        monkeypatch.setattr(clusters, "list_runs", work)
        return says("list", code=code)

    return run


# -- usage ------------------------------------------------------------------------------------------------------------


def test_its_version_is_that_of_the_package(says: Callable[..., str]) -> None:
    """As a report of a fault needs it."""
    assert says("--version") == f"k8ssec {version('pytest-k8ssec')}\n"


def test_alone_it_teaches(says: Callable[..., str]) -> None:
    """Who types its name wants to know what it can do."""
    assert says() == says("--help")


def test_help_teaches_every_command_with_examples(says: Callable[..., str]) -> None:
    """The commands with a line each, examples, exit codes."""
    output = says("--help")
    assert [] == [command for command in COMMANDS if f"    {command} " not in output.replace("\n", " ")]
    assert "examples:" in output
    assert "exit codes: 0 done, 1 failed, 2 wrong usage" in output


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(says: Callable[..., str], command: str) -> None:
    """What it does, in a sentence."""
    assert f"usage: k8ssec {command}" in says(command, "--help")


@pytest.mark.parametrize(
    "arguments",
    [["destroy"], ["down"], ["down", "dev", "--all"], ["up", "--name", "Not_A_Name"], ["up", "--no-such-option"]],
    ids=" ".join,
)
def test_wrong_usage(says: Callable[..., str], arguments: list[str]) -> None:
    """What argparse refuses, and a name that kind would refuse later."""
    assert "error: " in says(*arguments, code=2)


def test_start_up_is_light() -> None:
    """Help imports nothing that only a command needs."""
    heavy = (
        "kubernetes",
        "psutil",
        "pytest",
        "yaml",
        "pytest_k8ssec.testbed.testbeds",
        "pytest_k8ssec.catalogue.packaged",
    )
    script = (
        f"import sys; from pytest_k8ssec.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "[]" == done.stderr.strip()


def test_no_command_imports_pytest() -> None:
    """What stands on the command line works where pytest is not at hand."""
    script = (
        "import sys; import pytest_k8ssec.cli.clusters, pytest_k8ssec.cli.doctor, pytest_k8ssec.testbed.testbeds\n"
        "print('pytest' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_error_tells_culprit_cause_and_fix(ends_with: Callable[[BaseException, int], str]) -> None:
    """One prefix, the error's own text, and no traceback."""
    error = ClusterError("cluster 'dev': does not answer", fix="start it", details="connection refused")
    expected = "k8ssec: cluster 'dev': does not answer\n  fix: start it\n  | connection refused\n"
    assert expected == ends_with(error, 1)


@pytest.mark.parametrize(
    ("ended_by", "code", "expected"),
    [
        (SettingsError("--keep: 'maybe' is not one of never, always"), 2, "k8ssec: --keep: 'maybe' is not one of"),
        (KeyboardInterrupt(), 130, "k8ssec: interrupted"),
        (Terminated(), 143, "k8ssec: ended by SIGTERM"),
        (PermissionError(13, "Permission denied", "kubeconfig"), 1, "k8ssec: kubeconfig: Permission denied"),
    ],
    ids=["usage", "ctrl-c", "sigterm", "system"],
)
def test_exit_codes(
    ends_with: Callable[[BaseException, int], str], ended_by: BaseException, code: int, expected: str
) -> None:
    """Each ending has its code and its line."""
    assert ends_with(ended_by, code).startswith(expected)


def test_secret_in_an_error_is_not_told(ends_with: Callable[[BaseException, int], str]) -> None:
    """Errors go through redaction, as reports do."""
    token = "eyJhbGciOiJSUzI1NiIs.eyJpc3MiOiJrdWJlcm5ldGVz.c2lnbmF0dXJlLW9mLWl0"
    assert token not in ends_with(ClusterError(f"cluster 'dev': refused {token}"), 1)


def test_reader_that_has_seen_enough() -> None:
    """`k8ssec controls | head -1` ends quietly."""
    reader, output = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pytest_k8ssec.cli", "controls"]
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(output)
    assert (cli.FAILURE, b"") == (done.returncode, done.stderr)


# -- controls ---------------------------------------------------------------------------------------------------------


def test_all_controls_are_listed(says: Callable[..., str]) -> None:
    """Each with severity, subject and title, under its family."""
    lines = says("controls").splitlines()
    for each in packaged_controls():
        (line,) = [line for line in lines if line.split()[:1] == [each.id]]
        assert [each.id, each.severity, each.subject] == line.split()[:3]
        assert each.title in line
        assert any(line.startswith(each.family.title) for line in lines)
    assert f"{len(packaged_controls())} controls" in lines[-1]


def test_family_is_listed(says: Callable[..., str]) -> None:
    """Only its own controls."""
    output = says("controls", "etcd")
    listed = {line.split()[0] for line in output.splitlines() if line.startswith("  ")}
    assert {each.id for each in packaged_controls() if each.family.id == "etcd"} == listed


@pytest.mark.parametrize("control", packaged_controls(), ids=lambda control: control.id)
def test_each_control_is_explained(says: Callable[..., str], control: Control) -> None:
    """Why, remediation and what can be pasted, each mapping with title and page, each sabotage with its title."""
    output = says("controls", control.id)
    flat = " ".join(output.split())
    for text in (control.title, control.why, control.remediation, *(each.title for each in control.sabotages)):
        assert text
        assert " ".join(text.split()) in flat
    for snippet in control.snippets:
        assert textwrap.indent(snippet.text, "    ") in output
    for framework, ids in control.mappings.items():
        for ident in ids:
            found = reference(framework, ident)
            assert f"{found.id} {found.title}" in output
            assert found.url in output
    assert f"pytest --k8ssec-controls -k {control.id}" in output


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("etcd-clint-auth", "etcd-client-auth"),
        ("ingress", "net-ingress-deny"),
        ("kublet", "kubelet"),
        ("xyzzy", "lists all"),
    ],
)
def test_unknown_control_is_guessed_at(says: Callable[..., str], name: str, suggested: str) -> None:
    """A mistyped id, or a part of one, leads to what was meant."""
    output = says("controls", name, code=2)
    assert f"k8ssec: control {name!r}: no control and no family has that name" in output
    assert suggested in output


def test_paragraphs_are_wrapped_and_addresses_left_whole(says: Callable[..., str]) -> None:
    """What explains a control fits a terminal, and its links can be clicked."""
    assert controls_command.controls(argparse.Namespace(name="etcd-client-auth")) == 0
    for line in says("controls", "etcd-client-auth").partition("\nMappings")[0].splitlines()[3:]:
        assert len(line) <= 100 or "http" in line


# -- up ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--stack", "nowhere"], "nowhere: does not exist"),
        (["--stack", "."], "has no Pulumi.yaml"),
        (["--kind-config", "nowhere.yaml"], "nowhere.yaml: does not exist"),
        (["--config", "region"], "'region' is not of the form KEY=VALUE"),
        (["--kubernetes-version", "newest"], "'newest' is not a Kubernetes version"),
        (["--k8ssec-config", "region"], "'region' is not of the form KEY=VALUE"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_wrong_settings_of_up(says: Callable[..., str], arguments: list[str], expected: str) -> None:
    """Wrong usage, known before docker is asked for anything; also in pytest's own spelling, as errors name it."""
    assert expected in says("up", *arguments, code=2)


def test_up_reads_what_pytest_would(says: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment and pyproject.toml count for ``up`` too, and are named where they are wrong."""
    Path("pyproject.toml").write_text('[tool.k8ssec]\nnode-imgae = "x"\n')
    assert "did you mean 'node-image'?" in says("up", code=2)
    Path("pyproject.toml").write_text("[tool.k8ssec\n")
    assert "is not valid TOML" in says("up", code=2)
    Path("pyproject.toml").unlink()
    monkeypatch.setenv("K8SSEC_STACK", "elsewhere")
    assert "elsewhere: does not exist" in says("up", code=2)


def test_options_of_up_are_those_of_the_plugin(says: Callable[..., str]) -> None:
    """Each is told with the plugin's own words."""
    output = " ".join(says("up", "--help").split())
    for option in OPTIONS:
        if option.name in ("stack", "kind_config", "config", "secret", "node_image", "kubernetes_version"):
            assert f"--{option.key} {option.metavar}" in output
            assert option.help in output


def test_up_without_docker(says: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client is a failure with its fix."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "k8ssec: docker: no client on PATH\n  fix: install docker" in says("up", code=1)


# -- blast ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["web/shop"], "stack: none was named"),
        ([], "one of the arguments WORKLOAD --all is required"),
        (["web/shop", "--all"], "not allowed with argument"),
        (["web/shop", "--stack", "nowhere"], "nowhere: does not exist"),
        (["--all", "--stack", "infra", "--svg", "x.svg"], "--svg with --all: is a picture of one workload"),
        (["web/shop", "--stack", "infra", "--baseline", "none.yaml"], "baseline none.yaml: does not exist"),
        (["web/shop", "--stack", "infra", "--baseline", "bad.yaml"], "'x' is not one of budget, workloads"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_wrong_usage_of_blast(says: Callable[..., str], arguments: list[str], expected: str) -> None:
    """Known before docker is asked for anything."""
    Path("infra").mkdir()
    Path("infra/Pulumi.yaml").touch()
    Path("bad.yaml").write_text("x: 1\n")
    assert expected in " ".join(says("blast", *arguments, code=2).split())


def workloads(*names: str) -> list[Workload]:
    """Deployments of these names."""
    pairs = [name.partition("/") for name in names]
    return [Workload("Deployment", namespace, name, {}, {}, {}) for namespace, _, name in pairs]


def test_blast_finds_the_workload_that_is_meant() -> None:
    """By its name alone where only one is called so; the error names those that there are."""
    there = workloads("web/shop", "pay/api", "pay/shop")
    assert ["pay/api"] == [f"{one.namespace}/{one.name}" for one in blast._chosen(there, "api")]
    assert ["web/shop"] == [f"{one.namespace}/{one.name}" for one in blast._chosen(there, "web/shop")]
    assert there == blast._chosen(there, None)
    for wanted, why in (("shop", "is the name of several"), ("ledger", "is not a workload of the stack")):
        with pytest.raises(SettingsError, match=why) as error:
            blast._chosen(there, wanted)
        assert "name one of pay/api, pay/shop, web/shop" == error.value.fix


def test_blast_takes_several_of_one_full_name_for_one() -> None:
    """A Deployment and a CronJob that share it are walked together."""
    there = [*workloads("web/shop"), Workload("CronJob", "web", "shop", {}, {}, {})]
    assert there == blast._chosen(there, "shop")


@dataclass
class CanaryWalk:
    """A walk whose canary's graph is given, or an error."""

    comes: Graph | K8ssecError

    def shown(self, _: Workload) -> tuple[Graph, ...]:
        """That graph, or it raises that error."""
        if isinstance(self.comes, K8ssecError):
            raise self.comes
        return (self.comes,)


@pytest.mark.parametrize(
    ("comes", "expected"),
    [
        (Graph(SHOP), "no way was found"),
        (ProbeError("pod canary: is not running"), "is not running"),
        (SabotageError("service account canary: may still not list secrets"), "may still not list secrets"),
    ],
)
def test_blast_says_what_its_canary_did_not_show(comes: Graph | K8ssecError, expected: str) -> None:
    """A walk that does not find our own canary's way finds nobody's."""
    walk = cast("Any", CanaryWalk(comes))
    assert any(expected in words for words in blast._unseen(walk, workloads("web/shop", "pay/api")))


def test_blast_that_is_shown_to_work_says_nothing_of_it() -> None:
    """Every kind of edge was found, and the way to cluster-admin over proven ones."""
    every = [edge(kind, SHOP, KEY) for kind in (*ALWAYS_SHOWN, *SHOWN_BY_RIGHTS)]
    seen = graph(*TO_ADMIN, *every)
    assert [] == blast._unseen(cast("Any", CanaryWalk(seen)), workloads("web/shop"))


@pytest.mark.parametrize(("unseen", "code"), [([], 0), (["the same walk finds each kind of edge"], 1)])
def test_blast_without_its_positive_control_can_not_be_told(
    says: Callable[..., str], monkeypatch: pytest.MonkeyPatch, unseen: list[str], code: int
) -> None:
    """Nothing was found, by a walk that may find nothing at all: that is no success."""
    Path("infra").mkdir()
    Path("infra/Pulumi.yaml").touch()
    monkeypatch.setattr(blast, "_walked", lambda *_: ({"web/shop": Graph(SHOP)}, unseen))
    told = says("blast", "web/shop", "--stack=infra", code=code)
    assert ("UNKNOWN" in told) is bool(unseen)


# -- down, list, sweep ------------------------------------------------------------------------------------------------


def kept_run(fake: FakeDocker, name: str) -> Run:
    """A run whose cluster was kept."""
    run = Run.begin(docker=fake.endpoint)
    run.will_create("cluster", name)
    run.made(docker.described([fake.container(f"{name}-control-plane", docker.KIND_LABEL, name)]))
    run.keep()
    return run


def test_down_removes_a_kept_cluster(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """That one, and no other."""
    run = kept_run(fake_docker, "dev")
    other = kept_run(fake_docker, "other")
    assert "removed dev-control-plane\n" == says("down", "dev")
    assert ["other-control-plane"] == fake_docker.containers
    assert not run.directory.exists()
    assert other.directory.exists()


def test_down_all_removes_each_kept_cluster(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """Kept ones only: those of living runs and of others stay."""
    kept_run(fake_docker, "dev")
    living = Run.begin()
    living.will_create("cluster", living.name())
    fake_docker.container(f"{living.name()}-control-plane", docker.KIND_LABEL, living.name())
    fake_docker.container("mine-control-plane", docker.KIND_LABEL, "mine")
    assert "removed dev-control-plane\n" == says("down", "--all")
    assert {f"{living.name()}-control-plane", "mine-control-plane"} == set(fake_docker.containers)
    assert "no cluster was kept\n" == says("down", "--all")
    living.end()


def test_down_refuses_what_others_made(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """A kind cluster that no run recorded, and one that there is not."""
    fake_docker.container("mine-control-plane", docker.KIND_LABEL, "mine")
    assert "cluster 'mine': was not made by k8ssec, so it is not removed" in says("down", "mine", code=1)
    assert "cluster 'yours': does not exist" in says("down", "yours", code=1)
    assert ["mine-control-plane"] == fake_docker.containers


def test_down_refuses_the_cluster_of_a_living_run(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """It names the run, and what ends it."""
    living = Run.begin()
    living.will_create("cluster", living.name())
    output = says("down", living.name(), code=1)
    assert f"belongs to run {living.id}, which is running" in output
    assert f"kill {os.getpid()}" in output
    living.end()


def test_down_of_a_cluster_that_is_gone_already(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """Somebody removed its containers: the record goes, and that is said."""
    run = kept_run(fake_docker, "dev")
    docker.docker("rm", "--force", "--volumes", *(each.id for each in docker.listed()))
    assert "removed nothing but the record\n" == says("down", "dev")
    assert not run.directory.exists()


def test_down_of_a_cluster_whose_name_somebody_else_took(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """The user removed what was kept, and made a cluster of that name: it is not ours to remove."""
    kept_run(fake_docker, "dev")
    docker.docker("rm", "--force", "--volumes", *(each.id for each in docker.listed()))
    fake_docker.container("dev-control-plane", docker.KIND_LABEL, "dev")
    output = says("down", "dev", code=1)
    assert "cluster 'dev': was not made by k8ssec, so it is not removed" in output
    assert "kind delete cluster --name dev" in output
    assert ["dev-control-plane"] == fake_docker.containers


def test_down_takes_the_kept_one_of_two_runs(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """A run that was killed under the same name is the sweep's business."""
    for _ in range(4):  # whichever folder comes first
        dead = Run.begin(docker=fake_docker.endpoint)
        dead.will_create("cluster", "dev")
        dead.release()
    kept = kept_run(fake_docker, "dev")
    assert "removed dev-control-plane\n" == says("down", "dev")
    assert not kept.directory.exists()


def test_list_shows_each_run(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """State, age, containers; the kubeconfig of what was kept."""
    assert "no run is recorded on this machine\n" == says("list")
    kept, dead, living = kept_run(fake_docker, "dev"), Run.begin(), Run.begin()
    dead.release()
    lines = {line.split()[0]: line for line in says("list").splitlines()}
    assert "kept" in lines[kept.id]
    assert "dev-control-plane" in lines[kept.id]
    assert str(kept.directory) in lines["kubeconfig"]
    assert "dead" in lines[dead.id]
    assert f"running (process {os.getpid()})" in lines[living.id]
    living.end()


def test_list_without_docker(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """The ledger is told also where docker does not answer."""
    kept = kept_run(fake_docker, "dev")
    fake_docker.breaks("Cannot connect")
    output = says("list")
    assert kept.id in output
    assert "not known: docker daemon: none answers" in output
    assert "k8ssec: docker daemon: none answers" in says("down", "there-is-none", code=1)


def test_sweep_says_what_it_did(says: Callable[..., str], fake_docker: FakeDocker) -> None:
    """Nothing; a dead run; one that resists, which is a failure."""
    assert "nothing to sweep: no run ended without cleaning up\n" == says("sweep")
    for code in (0, 1):
        dead = Run.begin()
        dead.will_create("cluster", dead.name())
        node = fake_docker.container(f"{dead.name()}-control-plane", docker.KIND_LABEL, dead.name())
        dead.made(docker.described([node]))
        dead.release()
        if code:
            fake_docker.breaks("Cannot connect to the Docker daemon")
        output = says("sweep", code=code)
        assert (f"{dead.name()}-control-plane" in output) is (code == 0)
        assert ("not swept: " in output) is (code == 1)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.4, "0s"), (59, "59s"), (60, "1m"), (7300, "2h"), (200000, "2d"), (-5, "0s")]
)
def test_ages(seconds: float, expected: str) -> None:
    """In the largest unit that fits."""
    assert expected == clusters.age(seconds)


# -- doctor -----------------------------------------------------------------------------------------------------------


def test_doctor_of_a_machine_without_docker(
    says: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error makes the exit code 1; it comes with its fix, in text and as JSON."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(releases, "reaches", lambda *_: False)
    text = says("doctor", code=1)
    assert text.startswith("error    docker client")
    assert "fix: install docker" in text
    assert "no test that needs a cluster can run here" in text
    found = json.loads(says("doctor", "--json", code=1))
    assert (1, False) == (found["schema"], found["fit"])
    assert {"level", "subject", "told", "fix"} == set(found["findings"][0])
