"""The same small platform in three languages: the same objects, and the same verdicts for the same reasons."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from pytest_k8ssec.machine import tools
from tests.cluster.harness import Place
from tests.cluster.languages.translate import IMAGE, to_typescript, to_yaml
from tests.declared import STACKS, declared

PROGRAMS = Path(__file__).parent / "languages"
PLATFORM_CONTROLS = "wl_privilege or wl_host or token_automount or adm_psa or adm_limits or rbac_secrets or canary_leak"
CONTROLS = "wl-privilege or wl-host-access or wl-netraw or wl-seccomp or id-token-automount or id-credentials or adm-psa or adm-limits"


@pytest.fixture
def typescript(tmp_path: Path) -> Path:
    """The program with its packages installed: they are kept in the tools' cache, as they are the same each time."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not on PATH")
    program = PROGRAMS / "typescript"
    lock = (program / "package-lock.json").read_bytes()
    packages = tools.cache_root() / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    with FileLock(f"{packages}.lock"):
        if not packages.exists():
            scratch = tmp_path / "packages"
            scratch.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(program / name, scratch)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=scratch, check=True, timeout=300)
            shutil.move(scratch, packages)
    copy = tmp_path / "typescript"
    shutil.copytree(program, copy)
    (copy / "node_modules").symlink_to(packages / "node_modules", target_is_directory=True)
    return copy


def _judged(place: Place, language: str, program: Path) -> dict[str, Any]:
    done = place.pytest(
        "--k8ssec-controls",
        "-k",
        CONTROLS.replace("-", "_"),
        f"--k8ssec-stack={program}",
        f"--k8ssec-kind-config={place.kind_config}",
        "--k8ssec-config=image={probe_image}",
        f"--k8ssec-report={language}",
    )
    assert done.end(300) == pytest.ExitCode.TESTS_FAILED, done.output
    report: dict[str, Any] = json.loads((place.project / language / "report.json").read_text())
    return report


def _told(report: dict[str, Any]) -> dict[str, Any]:
    """What is to be the same: each control's verdict, how many positive controls, and which attacks got through."""
    return {
        one["control"]: (
            one["verdict"],
            len(one["positives"]),
            sorted((each["case"], each["what"], str(each["through"])) for each in one["attacks"]),
        )
        for one in report["results"]
    }


def test_three_languages_get_the_same_verdicts(place: Place, typescript: Path) -> None:
    """The workload that is privileged is found in each, and the careful one is not blamed."""
    place.thaws = True
    reports = {
        language: _judged(place, language, program)
        for language, program in (
            ("python", PROGRAMS / "python"),
            ("yaml", PROGRAMS / "yaml"),
            ("typescript", typescript),
        )
    }
    expected = _told(reports["python"])
    assert expected["wl-privilege"][0] == "breached"
    assert {language: _told(report) for language, report in reports.items()} == dict.fromkeys(reports, expected)
    counted = {language: report["run"]["stack"]["resources"] for language, report in reports.items()}
    assert counted == dict.fromkeys(reports, 5)


def test_the_hardened_platform_gets_the_same_verdicts(place: Place, typescript: Path, tmp_path: Path) -> None:
    """The example stack itself, and what it declares in YAML and TypeScript: all hold, with as many positive controls."""
    place.thaws = True
    found = declared("hardened", IMAGE)
    in_yaml = tmp_path / "in-yaml"
    in_yaml.mkdir()
    (in_yaml / "Pulumi.yaml").write_text(to_yaml(found))
    (typescript / "Pulumi.yaml").write_text("name: platform\nruntime: nodejs\n")
    (typescript / "index.ts").write_text(to_typescript(found))
    told = {}
    for language, program in (("python", STACKS / "hardened"), ("yaml", in_yaml), ("typescript", typescript)):
        done = place.pytest(
            "--k8ssec-controls",
            "-k",
            PLATFORM_CONTROLS,
            f"--k8ssec-stack={program}",
            "--k8ssec-config=platform:image={probe_image}",
            "--k8ssec-secret=platform:paymentsApiKey=BANK_KEY",
            f"--k8ssec-report={language}",
            environ={"BANK_KEY": secrets.token_hex(16)},
        )
        assert done.end(300) == pytest.ExitCode.OK, done.output
        told[language] = _told(json.loads((place.project / language / "report.json").read_text()))
    assert {each[0] for each in told["python"].values()} == {"held"}
    assert told == dict.fromkeys(told, told["python"])
