"""Many pods are asked at the same time; one that breaks takes no other's answer away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from pytest_k8ssec.agent.tasks import Task, Tokens, WhichFile
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.pods.ask_each import ask_each

if TYPE_CHECKING:
    from pytest_k8ssec.pods.pool import Pod


class _Pod:
    """Answers with what it was asked, once so many others are asked too."""

    def __init__(self, together: threading.Barrier, error: ProbeError | None = None) -> None:
        self._together = together
        self._error = error

    def ask(self, *tasks: Task) -> Any:
        """Those, or breaks."""
        self._together.wait(timeout=30)
        if self._error is not None:
            raise self._error
        return list(tasks)


def test_each_answers_its_own_tasks() -> None:
    """In the order of the pods, and at the same time: each waits for the others. What did not start, or breaks, is told as that."""
    together = threading.Barrier(3)
    absent, broke = ProbeError("did not start"), ProbeError("did not end in time")
    pods: dict[str, Pod | ProbeError] = {
        "b": cast("Pod", _Pod(together)),
        "absent": absent,
        "a": cast("Pod", _Pod(together)),
        "breaks": cast("Pod", _Pod(together, broke)),
    }
    tasks: dict[str, list[Task]] = {
        "a": [Tokens()],
        "b": [Tokens(pieces=True), WhichFile("/etc")],
        "breaks": [Tokens()],
        "absent": [Tokens()],
    }
    answers: Any = ask_each(pods, tasks)
    assert list(answers.items()) == [("b", tasks["b"]), ("absent", absent), ("a", tasks["a"]), ("breaks", broke)]


def test_nobody_to_ask() -> None:
    """Is no error."""
    assert ask_each({}, {}) == {}
