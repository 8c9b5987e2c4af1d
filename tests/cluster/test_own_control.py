"""The documentation's control of a team's own, with its own sabotage, on the hardened stack: noticed, and undone."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

import pytest

from tests.cluster.harness import PLATFORM, Place

REPOSITORY = Path(__file__).parents[2]
STACK = REPOSITORY / "stacks" / "hardened"


def test_a_teams_control_notices_its_own_sabotage(place: Place) -> None:
    """In a project that has nothing but that file."""
    place.thaws = True
    page = (REPOSITORY / "docs" / "how-to" / "write-a-control.md").read_text(encoding="utf-8")
    (module,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    place.file("test_payments_config.py", module)
    done = place.pytest(
        "--k8ssec-sabotage",
        "--k8ssec-packed",
        "-k",
        "rbac-payments-config and not beside",
        f"--k8ssec-stack={STACK}",
        *PLATFORM,
        "--k8ssec-report=report",
        environ={"BANK_KEY": secrets.token_hex(16)},
    )
    assert pytest.ExitCode.OK == done.end(400), done.output
    results = json.loads((place.project / "report" / "report.json").read_text())["results"]
    assert {"intact": "held", "sabotaged": "breached", "restored": "held"} == {
        result["phase"]: result["verdict"] for result in results
    }
    assert "strangers-read-payments" in done.output
    assert [] == place.containers()
