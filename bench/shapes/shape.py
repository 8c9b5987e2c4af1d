"""A shape: how a cluster differs from the hardened one, read from ``stacks/shapes`` and made into a kind configuration."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.verdict import Verdict

STACKS = Path(__file__).parents[2] / "stacks"
HARDENED = STACKS / "hardened"
SHAPES = STACKS / "shapes"
ELSEWHERE = frozenset({"sup-pull-auth"})
"""Controls that this repository's own settings call not applicable on the hardened stack: they have clusters of their own."""
_BASELINE = "blast-radius.yaml"
_NEEDED = {"about"}
_FURTHER = {"nodes", "networking", "kubeadmConfigPatches", "after", "agreed", "expected"}


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What one control must say where that is not *held*."""

    verdict: Verdict
    reason: str
    """Why that is right: by the documentation of Kubernetes or kind, and written down before the first run."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of cluster."""

    name: str
    about: str
    """What is different, in words."""
    change: Mapping[str, Any]
    """What of the hardened kind configuration is different."""
    otherwise: Mapping[str, Otherwise]
    """By control, what is right where it is not *held*."""

    @property
    def control_planes(self) -> int:
        """How many it has."""
        return sum(node.get("role") == "control-plane" for node in self.configuration()["nodes"])

    def expected(self, control: str) -> tuple[Verdict, str]:
        """The verdict that is right for a control, and why."""
        if control in self.otherwise:
            return self.otherwise[control].verdict, self.otherwise[control].reason
        return Verdict.HELD, "it is held on the hardened stack, and the shape changes nothing about it"

    def configuration(self) -> dict[str, Any]:
        """The hardened kind configuration with the change."""
        document = copy.deepcopy(KindConfig.load(PACKAGED).document)
        (hardened,) = [node for node in document["nodes"] if node["role"] == "control-plane"]
        nodes = copy.deepcopy(self.change.get("nodes")) or document["nodes"]
        for node in nodes:
            if node["role"] == "control-plane":
                node["extraMounts"] = hardened["extraMounts"]
        document["nodes"] = nodes
        document["kubeadmConfigPatches"] += self.change.get("kubeadmConfigPatches", [])
        document["networking"] = {**document.get("networking", {}), **self.change.get("networking", {})}
        return document

    def write(self, folder: Path) -> Path:
        """Write its ``kind.yaml`` and what belongs beside it into a folder.

        Returns:
            the path of the kind configuration.
        """
        folder.mkdir(parents=True, exist_ok=True)
        packaged = PACKAGED.parent
        shutil.copytree(packaged / "control-plane", folder / "control-plane", dirs_exist_ok=True)
        steps = yaml.safe_load((packaged / "kind-after.yaml").read_text(encoding="utf-8"))
        steps["steps"] += self.change.get("after", [])
        (folder / "kind-after.yaml").write_text(yaml.safe_dump(steps), encoding="utf-8")
        file = folder / "kind.yaml"
        file.write_text(yaml.safe_dump(self.configuration(), sort_keys=False), encoding="utf-8")
        return file

    def stack(self, folder: Path) -> Path:
        """The stack's folder: the hardened one itself, or where more is agreed to, one that is written.

        What a workload may reach is agreed to by the names of nodes, so the same platform agrees to more where there are more
        API servers.
        """
        agreed: Mapping[str, list[str]] = self.change.get("agreed", {})
        if not agreed:
            return HARDENED
        made = folder / "stack"
        made.mkdir(parents=True, exist_ok=True)
        for name in ("Pulumi.yaml", "__main__.py"):
            if not (made / name).is_symlink():
                (made / name).symlink_to(HARDENED / name)
        baseline = yaml.safe_load((HARDENED / _BASELINE).read_text(encoding="utf-8"))
        for workload, edges in agreed.items():
            baseline["workloads"][workload]["edges"] += edges
        (made / _BASELINE).write_text(yaml.safe_dump(baseline), encoding="utf-8")
        return made


def shapes(folder: Path = SHAPES) -> dict[str, Shape]:
    """Every shape by its name. Raises SettingsError: see :func:`read`."""
    return {file.stem: read(file) for file in sorted(folder.glob("*.yaml"))}


def judged() -> tuple[str, ...]:
    """Ids of the controls that are compared."""
    return tuple(control.id for control in packaged_controls() if control.id not in ELSEWHERE)


def read(file: Path) -> Shape:
    """One shape.

    Raises:
        SettingsError: a field is missing or unknown, or what is expected is no verdict of a control, or has no reason.
    """
    text = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = set(text) if isinstance(text, dict) else set()
    if wrong := sorted((_NEEDED - found) | (found - _NEEDED - _FURTHER)):
        raise _wrong(file, f"missing or unknown: {', '.join(wrong)}")
    otherwise = {}
    for control, said in (text.get("expected") or {}).items():
        if control not in judged():
            raise _wrong(file, f"{control} is no control that is compared")
        if set(said) != {"verdict", "reason"} or said["verdict"] not in set(Verdict) or not said["reason"]:
            raise _wrong(file, f"{control} needs a verdict and a reason")
        otherwise[control] = Otherwise(Verdict(said["verdict"]), said["reason"])
    change = {key: value for key, value in text.items() if key not in ("about", "expected")}
    return Shape(file.stem, text["about"], change, otherwise)


def _wrong(file: Path, what: str) -> SettingsError:
    return SettingsError(f"shape {file.name}: {what}", fix="see docs/explanation/shapes.md for what stands in it")
