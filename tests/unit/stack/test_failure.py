"""What a user is told when an operation fails."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

import pytest

from pytest_k8ssec.errors import SettingsError, StackError
from pytest_k8ssec.stack.failure import Course, explain_failure
from pytest_k8ssec.stack.messages import Diagnostic, EngineStep, Message
from pytest_k8ssec.stack.source import StackSource

_SOURCE = StackSource(Path("/repo/infra"), "dev")


def _step(state: Literal["started", "done", "failed"], kind: str, name: str, namespace: str = "") -> EngineStep:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return EngineStep(state, "create", f"urn:pulumi:dev::shop::k::{name}", f"kubernetes:apps/v1:{kind}", metadata)


def _error(text: str, urn: str = "") -> Diagnostic:
    return Diagnostic("error", urn, text)


def _explained(*messages: Message, said: str = "", after: float | None = None) -> Any:
    course = Course()
    for message in messages:
        course.take(message)
    return explain_failure(_SOURCE, course, said, after=after, trouble=lambda spaces: f"pods of {', '.join(spaces)}")


@pytest.mark.parametrize(
    "text",
    [
        "Missing required configuration variable 'shop:image'\n  please set a value using the command `pulumi ...`",
        "error: Stack 'dev' is missing configuration value 'shop:image'",
    ],
)
def test_a_missing_config_value_is_named(text: str) -> None:
    """Whether the program or the project asks for it, the error names the key and how to give it."""
    error = _explained(_error(text))
    assert isinstance(error, SettingsError)
    assert "shop:image is required" in error.message
    assert "--k8ssec-config shop:image=VALUE" in error.fix


def test_a_program_that_raises_is_shown_without_pulumi_s_own_frames() -> None:
    """File and line of the user's program are in the message, and only the user's frames below."""
    text = dedent(
        """\
        python inline source runtime error: division by zero
        Traceback (most recent call last):
          File "/venv/lib/python3.11/site-packages/pulumi/automation/_server.py", line 95, in run
            loop.run_until_complete(run_in_stack(self.program))
          File "<frozen runpy>", line 88, in _run_code
          File "/repo/infra/__main__.py", line 5, in <module>
            value = compute(0)
                    ^^^^^^^^^^
          File "/repo/infra/helper.py", line 2, in compute
            return 1 / x
                   ~~^~~
        ZeroDivisionError: division by zero
        """
    )
    error = _explained(_error(text), _error("Exception calling application: division by zero"))
    assert error.message == (
        'stack "dev": its program raised ZeroDivisionError: division by zero in /repo/infra/helper.py, line 2'
    )
    assert error.details.splitlines() == [
        '  File "/repo/infra/__main__.py", line 5, in <module>',
        "    value = compute(0)",
        '  File "/repo/infra/helper.py", line 2, in compute',
        "    return 1 / x",
        "ZeroDivisionError: division by zero",
    ]


def test_a_callback_that_raises_is_found_in_the_error_s_notes() -> None:
    """asyncio drops a callback's frames; those that were noted beside the error are shown, each once."""
    noted = '  File "/repo/infra/__main__.py", line 7, in late\n    return {}["x"]\n'
    text = f"Traceback (most recent call last):\nKeyError: 'x'\n{noted}{noted}"
    error = _explained(_error(text))
    assert "KeyError: 'x' in /repo/infra/__main__.py, line 7" in error.message
    assert error.details.count("in late") == 1


def test_a_failed_resource_is_shown_with_pulumi_s_words_and_the_cluster_s() -> None:
    """The message names the objects; the details hold the diagnostics, then pods and events of their namespaces."""
    error = _explained(
        _step("done", "Namespace", "web"),
        _step("failed", "Deployment", "shop", "web"),
        _error("pods are refused", "urn:pulumi:dev::shop::k::shop"),
        _error("update failed"),
    )
    assert isinstance(error, StackError)
    assert error.message == 'stack "dev": Deployment web/shop failed'
    assert error.details == "pods are refused\npods of web"


def test_a_workload_that_never_gets_ready_is_named_at_the_deadline() -> None:
    """What is waited for is in the message; what was last said about it, and its pods, below."""
    error = _explained(
        _step("started", "Deployment", "shop", "web"),
        Diagnostic("info", "urn:pulumi:dev::shop::k::shop", "0/1 Pods available", passing=True),
        _step("done", "Deployment", "other", "batch"),
        after=60,
    )
    assert error.message == 'stack "dev": not ready within 60 s: waiting for Deployment web/shop'
    assert error.details == "Deployment web/shop: 0/1 Pods available\npods of web"


def test_a_failure_of_the_command_line_alone_is_shown_in_its_words() -> None:
    """Where the engine never started, what the command line printed is all there is."""
    error = _explained(said="error: could not open the backend")
    assert error.message == 'stack "dev": Pulumi failed'
    assert error.details == "error: could not open the backend"


def test_a_late_done_does_not_hide_a_failure() -> None:
    """Once failed, a resource stays failed, whatever its component reports afterwards."""
    course = Course()
    course.take(_step("failed", "Deployment", "shop", "web"))
    course.take(_step("done", "Deployment", "shop", "web"))
    assert course.failing
    assert course.finished == 0
