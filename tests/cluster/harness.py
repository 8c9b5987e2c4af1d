"""Runs of the real pytest and of the real ``k8ssec``, watched from outside, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pytest_k8ssec.machine import belongings, docker, ledger

SECONDS = 180
"""Deadline of whatever a slow machine needs."""

GRACE = 10
"""Seconds in which a process may notice that what it worked for is gone."""

LATE = 8
"""Seconds in which a container comes to be that docker was asked for before."""

PLATFORM = (
    "--k8ssec-config=platform:image={probe_image}",
    "--k8ssec-secret=platform:paymentsApiKey=BANK_KEY",
)
"""What stacks/hardened and stacks/insecure have to be given; the variable BANK_KEY holds the secret."""

ROOT = Path(__file__).parents[2]

ONE_NODE = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"


@dataclass
class Place:
    """A home of the test's own: its project, its ledger, its kubeconfig; only the tools' cache is the machine's."""

    root: Path
    cache: Path
    python: str = sys.executable
    """Whose environment has what is run."""
    thaws: bool = False
    """Whether clusters are thawed: for tests whose configuration others have too, as an entry stays in the machine's cache."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.project.mkdir()
        (self.project / "pytest.ini").write_text("[pytest]\n")
        self.kind_config = self.file("kind.yaml", ONE_NODE)
        self.kubeconfig.parent.mkdir(parents=True)
        self.kubeconfig.write_text("the user's own")

    @property
    def project(self) -> Path:
        """Where tests run."""
        return self.root / "project"

    @property
    def state(self) -> Path:
        """The ledger."""
        return self.root / "state"

    @property
    def kubeconfig(self) -> Path:
        """The user's."""
        return self.root / "home" / ".kube" / "config"

    @property
    def environ(self) -> dict[str, str]:
        """What all runs here get; KUBECONFIG names a file that must never come to be."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("K8SSEC_", "PYTEST_"))},
            "COLUMNS": "500",  # what is looked for in the output is not wrapped
            "HOME": str(self.root / "home"),
            "KUBECONFIG": str(self.root / "home" / "named-by-KUBECONFIG"),
            "K8SSEC_STATE": str(self.state),
            "K8SSEC_CACHE": str(self.cache),
            "K8SSEC_FRESH": "0" if self.thaws else "1",
            "PYTHONUNBUFFERED": "1",
        }

    def file(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Running:
        """Start ``python -m ARGUMENTS`` in the project."""
        log = self.root / f"output-{len(self.started)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.python, "-m", *arguments],
                cwd=self.project,
                env={**self.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return Running(process, log)

    def pytest(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Running:
        """Start the real pytest."""
        return self.start("pytest", "-p", "no:cacheprovider", *arguments, environ=environ)

    def k8ssec(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Running:
        """Start the real ``k8ssec``."""
        return self.start("pytest_k8ssec.cli", *arguments, environ=environ)

    def run(self) -> ledger.Recorded | None:
        """The one run that is recorded here."""
        found = ledger.recorded(self.state)
        return found[0] if found else None

    def containers(self) -> list[str]:
        """Names of the containers of all clusters and runs that are recorded here."""
        entries = ledger.recorded(self.state)
        runs = {entry.run.id for entry in entries}
        clusters = {name for entry in entries for name in entry.clusters}
        return [each.name for each in docker.listed() if each.run in runs or each.cluster in clusters]

    def processes(self) -> list[psutil.Process]:
        """Whatever was started here, or by what was started here, and still runs."""
        return [each for each in psutil.process_iter() if _state_of(each) == str(self.state)]

    def programs(self) -> set[str]:
        """Names of the programs that these processes run."""
        names = set()
        for process in self.processes():
            with suppress(psutil.Error):
                names.add(process.name())
        return names

    def command(self, *argv: str) -> bool:
        """Whether one of these processes runs a command that begins so."""
        for process in self.processes():
            with suppress(psutil.Error):
                if process.cmdline()[: len(argv)] == list(argv):
                    return True
        return False

    def kill_all(self) -> None:
        """Kill all that was started here, whatever started it."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def clean_up(self) -> None:
        """End what was started here, and remove what it left, also where a test broke off."""
        self.kill_all()
        for started in self.started:
            started.wait(SECONDS)
        for entry in ledger.recorded(self.state):
            docker.remove_all(lambda entry=entry: belongings.of_living(entry.run))  # type: ignore[misc]


def _state_of(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.environ().get("K8SSEC_STATE", "")
    except (psutil.Error, OSError):
        return ""


@dataclass(frozen=True)
class Running:
    """A process that was started, and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """All that it said so far."""
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self.process.send_signal(number)

    def end(self, seconds: float = SECONDS) -> int:
        """Wait for its end. Returns its exit code."""
        return self.process.wait(seconds)

    def until(self, happened: Callable[[], object], what: str) -> None:
        """Wait for something to happen while it runs."""
        end = time.monotonic() + SECONDS
        while not happened():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.output}"
            assert time.monotonic() < end, f"{what}: did not happen in time:\n{self.output}"
            time.sleep(0.02)


@contextmanager
def decoys(image: str, tag: str) -> Iterator[list[str]]:
    """Two containers of the user's: one called as ours are, one that is a node of a kind cluster of the user's own."""
    names = [f"k8ssec-decoy-{tag}", f"k8ssec-{tag}-control-plane"]
    labels = [[], ["--label", f"{docker.KIND_LABEL}=k8ssec-{tag}"]]
    try:
        for name, label in zip(names, labels, strict=True):
            docker.docker(
                "run", "--detach", "--name", name, *label, "--entrypoint", "sleep", image, "3600", deadline=60
            )
        yield names
    finally:
        docker.docker("rm", "--force", *names, deadline=60, check=False)


@dataclass(frozen=True)
class Machine:
    """What docker has, by its ids; volumes go by their names, which are ids where nobody chose one."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    images: frozenset[str]

    @classmethod
    def now(cls) -> Machine:
        """As it is."""

        def ids(*command: str) -> frozenset[str]:
            return frozenset(docker.docker(*command, "--quiet", "--no-trunc").text.split())

        return cls(
            ids("ps", "--all"),
            ids("network", "ls"),
            frozenset(docker.docker("volume", "ls", "--quiet").text.split()),
            ids("images", "--all"),
        )


def running(names: list[str]) -> list[str]:
    """Those of the containers that run."""
    there = docker.docker("ps", "--format", "{{.Names}}").text.split()
    return [name for name in names if name in there]


def everything(place: Place) -> list[str]:
    """Names of all containers that the run may have made, before its record goes."""
    run = place.run()
    assert run is not None
    return [*place.containers(), *(f"{cluster}-control-plane" for cluster in run.clusters)]


def still_running(place: Place) -> list[psutil.Process]:
    """What still runs, once a client whose container is gone had the time to notice."""
    end = time.monotonic() + GRACE
    while place.processes() and time.monotonic() < end:
        time.sleep(0.2)
    return place.processes()


def assert_nothing_comes(place: Place, containers: list[str]) -> None:
    """Nothing is left, and nothing comes to be later: docker may be making what nobody waits for any more."""
    end = time.monotonic() + LATE
    while time.monotonic() < end:
        assert_nothing_left(place, containers)
        time.sleep(0.5)


def assert_nothing_left(place: Place, containers: list[str]) -> None:
    """No container, no process and no folder of a run."""
    there = docker.docker("ps", "--all", "--format", "{{.Names}}").text.split()
    assert [] == [name for name in containers if name in there]
    assert [] == still_running(place)
    assert [] == list((place.state / "runs").iterdir())


def installed_from_wheel(folder: Path, requirements: Path) -> Path:
    """Make an environment with the wheel of this checkout and what a file asks for, in the versions of this one.

    Args:
        folder: where it is made; an empty one.

    Returns:
        the folder of its programs.
    """
    uv, environment = Path(sys.executable).with_name("uv"), folder / "venv"

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=ROOT, timeout=180, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (wheel,) = folder.glob("*.whl")
    run(uv, "venv", "--python", sys.executable, environment)
    wanted = (wheel, "--requirements", requirements, "--constraints", ROOT / "requirements" / "dev.txt")
    run(uv, "pip", "install", "--python", environment / "bin" / "python", *wanted)
    return environment / "bin"
