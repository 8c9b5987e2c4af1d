"""Targets that are shared out to an Indexed Job: each share stands, or falls, by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.job import sharded
from pytest_k8ssec.reach.measure import Dial

SPEC = PodSpec("k8ssec-1-reach", labels={"app": "shop"}, purpose="reach")
TARGETS = [Dial("10.244.0.1", port) for port in range(1, 8)]


@dataclass
class Server:
    """An API server whose Job's pods end as they are told to, and say what they are told to."""

    ends: dict[int, str] = field(default_factory=dict)
    """Phase by index; an index that is not there never ends."""
    says: Callable[[dict[str, Any]], str] = lambda told: ""
    refuses: bool = False
    probe_image: str = "probe"
    run_id: str = "1"
    applied_: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cluster(self) -> Server:
        """Itself."""
        return self

    @property
    def api(self) -> Server:
        """Itself."""
        return self

    @contextmanager
    def applied(self, *manifests: dict[str, Any]) -> Iterator[None]:
        """Take in the manifests."""
        if self.refuses:
            raise ClusterError("POST jobs: HTTP 403: no")
        self.applied_ += manifests
        yield
        self.applied_.append({"kind": "gone"})

    def watch(self, _path: str, **_: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each pod as it starts, ends, and is told of once more."""
        for index, phase in self.ends.items():
            for now in (phase, phase) if phase == "Pending" else ("Running", phase, phase):
                meta = {
                    "name": f"p{index}", "namespace": SPEC.namespace,
                    "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
                }  # fmt: skip
                yield "MODIFIED", {"metadata": meta, "status": {"phase": now}}

    def request(self, _method: str, path: str, **_: Any) -> Response:
        """A pod's log."""
        index = path.split("/")[-2].removeprefix("p")
        return Response(200, {}, 1.0, self.says(json.loads(self.applied_[0]["data"][index])).encode())

    def as_pool(self) -> Pool:
        """Itself, as the type checker wants it."""
        return cast("Pool", self)


def right(told: dict[str, Any]) -> str:
    """Odd ports are open, the others refused; with their number as detail."""
    lines: list[Any] = [
        [at, "open" if port % 2 else "refused", 1.0, str(port)] for at, (_, port, _) in enumerate(told["targets"])
    ]
    return "".join(f"{json.dumps(line)}\n" for line in [*lines, {"end": told["nonce"]}])


def test_shares_become_one_row() -> None:
    """In the targets' own order, whichever pod ends first; and the Job is removed."""
    server = Server({2: "Succeeded", 0: "Succeeded", 1: "Succeeded"}, right)
    row = sharded(server.as_pool(), SPEC, TARGETS, per_shard=3)
    assert ["open" if dial.port % 2 else "refused" for dial in TARGETS] == [str(row.outcome(at)) for at in range(7)]
    assert {at: str(dial.port) for at, dial in enumerate(TARGETS)} == row.details
    config, job, end = server.applied_
    assert {"0", "1", "2", "sweeper"} == set(config["data"])
    assert ("Indexed", 3, 3) == tuple(job["spec"][key] for key in ("completionMode", "completions", "parallelism"))
    assert SPEC.labels.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert "gone" == end["kind"]


@pytest.mark.parametrize(
    ("ends", "says", "why"),
    [
        ({0: "Succeeded", 1: "Failed"}, right, "did not finish (exit code 1"),
        ({0: "Succeeded"}, right, ": no pod was made for it"),
        ({0: "Succeeded", 1: "Pending"}, right, "p1: Pending; no container has reported yet"),
        ({0: "Succeeded", 1: "Succeeded"}, lambda told: right(told)[: 90 if len(told["targets"]) == 4 else 60], "p1: answered with something that is not an answer"),
    ],
    ids=["failed", "no-pod", "never-starts", "cut-off"],
)  # fmt: skip
def test_a_share_that_breaks_is_unknown_and_the_others_stand(
    ends: dict[int, str], says: Callable[[dict[str, Any]], str], why: str
) -> None:
    """With the reason; never blocked."""
    row = sharded(Server(ends, says).as_pool(), SPEC, TARGETS, per_shard=4)
    second = [row.outcome(at) for at in range(1, 7, 2)]
    assert [Outcome.ERROR] * 3 == second
    assert why in row.details[1]
    if says is right:
        assert Outcome.OPEN is row.outcome(0)


@pytest.mark.parametrize("silence", ["no-answer", "unreachable"])
def test_a_share_that_hears_nothing_is_unknown(silence: str) -> None:
    """Each pod has a network of its own, and nothing shows that this one's works; one answer would."""

    def says(told: dict[str, Any]) -> str:
        first = any(port == 1 for _, port, _ in told["targets"])
        lines: list[Any] = [
            [at, "refused" if first and at == 0 else silence, 1.0, ""] for at in range(len(told["targets"]))
        ]
        return "".join(f"{json.dumps(line)}\n" for line in [*lines, {"end": told["nonce"]}])

    row = sharded(Server({0: "Succeeded", 1: "Succeeded"}, says).as_pool(), SPEC, TARGETS, per_shard=4)
    assert ["refused", "error", silence, "error"] == [str(row.outcome(at)) for at in range(4)]
    assert "nothing shows that its pod's own network works" in row.details[1]


def test_a_job_that_is_refused_is_an_error() -> None:
    """Nothing is known, and nothing is there to be removed."""
    with pytest.raises(ProbeError, match=r"job k8ssec-1-reach/k8ssec-reach-.*: POST jobs: HTTP 403"):
        sharded(Server(refuses=True).as_pool(), SPEC, TARGETS)
