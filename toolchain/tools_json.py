"""tools.json: what the plugin reads to find all this."""

import json
import os
from pathlib import Path

from toolchain.plan import Plan
from toolchain.settings import cache_root

SCHEMA = 1


def tools_file() -> Path:
    """Where it is."""
    return cache_root() / "tools.json"


def write_tools(plan: Plan) -> None:
    """Writes what exists, in one step: a reader sees the old file or the new one."""
    binaries = plan.binaries
    programs = {
        "kind": (binaries.kind, "kind"),
        "pulumi": (binaries.pulumi, "pulumi"),
        "pulumi-resource-kubernetes": (binaries.provider, "pulumi-resource-kubernetes"),
        "pulumi-language-yaml": (binaries.yaml, "pulumi-language-yaml"),
        "kubectl": (binaries.kubernetes, "kubectl"),
    }
    tools: dict[str, object] = {"schema": SCHEMA}
    for name, (output, program) in programs.items():
        if output.exists():
            tools[name] = {"path": str(output.binary(program)), "version": output.version}
    for name, image in (("node_image", plan.node_image), ("probe_image", plan.probe_image)):
        if image.exists():
            tools[name] = {"ref": image.ref, "version": image.version}
    file = tools_file()
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    scratch.write_text(json.dumps(tools, indent=2) + "\n")
    scratch.replace(file)
