"""Logs of a real cluster that are saved after a failure: nobody's secret is in them, and nobody else may read them."""

from __future__ import annotations

import base64
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import Place

pytestmark = pytest.mark.usefixtures("untouched")

PROGRAM = """
import pulumi, secrets
import pulumi_kubernetes as k8s

config = pulumi.Config()
made = k8s.core.v1.Secret(
    "made", metadata={"namespace": "default", "name": "made"}, string_data={"password": MADE},
)
given = k8s.core.v1.Secret(
    "given", metadata={"namespace": "default", "name": "given"}, string_data={"password": config.require_secret("key")},
)
says = "print('the passwords are', os.environ['GIVEN'], os.environ['MADE'], flush=True); time.sleep(3600)"
env = [
    {"name": name, "value_from": {"secret_key_ref": {"name": name.lower(), "key": "password"}}}
    for name in ("GIVEN", "MADE")
]
container = {
    "name": "talkative", "image": config.require("image"), "env": env,
    "command": ["python3", "-c", "import os, time; " + says],
}
k8s.core.v1.Pod(
    "talkative", metadata={"namespace": "default", "name": "talkative"}, spec={"containers": [container]},
    opts=pulumi.ResourceOptions(depends_on=[made, given]),
)
"""

TEST = """
def test_it(stack, cluster):
    cluster.api.wait(
        "/api/v1/namespaces/default/pods", "talkative", lambda pod: bool(pod) and pod["status"].get("phase") == "Running",
        deadline=60, what="the pod",
    )
    for _ in range(100):
        if cluster.api.request("GET", "/api/v1/namespaces/default/pods/talkative/log").data:
            break
    assert not "something that needs the logs"
"""


def pieces(value: str) -> Iterator[str]:
    """Each eight characters in a row, as they are and in base64."""
    for form in (value, base64.b64encode(value.encode()).decode().rstrip("=")):
        yield from (form[at : at + 8] for at in range(len(form) - 7))


def test_saved_logs_hold_no_secret(place: Place) -> None:
    """Neither one that was given, nor one that only the cluster knows; they are not below what CI uploads."""
    place.thaws = True
    given, made = secrets.token_urlsafe(18), secrets.token_hex(12)
    place.file("infra/Pulumi.yaml", "name: talks\nruntime: python\n")
    place.file("infra/__main__.py", f"MADE = {made!r}\n{PROGRAM}")
    file = place.file("test_it.py", TEST)
    run = place.pytest(
        *(str(file), f"--k8ssec-kind-config={place.kind_config}", f"--k8ssec-stack={place.project / 'infra'}"),
        *("--k8ssec-config=image={probe_image}", "--k8ssec-secret=key=TALKS_KEY", "--k8ssec-report=report"),
        environ={"TALKS_KEY": given},
    )
    assert 1 == run.end(), run.output
    (where,) = re.findall(r"^logs of the cluster: (.*)$", run.output, re.MULTILINE)
    folder = Path(where)
    assert folder.is_relative_to(place.state)
    assert not list((place.project / "report").rglob("*.log"))
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    texts = {}
    for path in folder.rglob("*"):
        assert (0o700 if path.is_dir() else 0o600) == stat.S_IMODE(path.stat().st_mode), path
        if path.is_file():
            texts[path] = path.read_text(errors="replace")
    assert "the passwords are [redacted] [redacted]" in "".join(texts.values())
    texts[run.log] = run.output
    wanted = {*pieces(given), *pieces(made)}
    assert {} == {path: found for path, text in texts.items() if (found := {each for each in wanted if each in text})}
