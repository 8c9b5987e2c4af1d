"""What an example stack declares, found by running its Python program without an engine."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

STACKS = Path(__file__).resolve().parents[1] / "stacks"
KEY = "made-up-key"
"""The secret that programs are given."""
API_SERVER = "10.0.0.1"
"""Its address, in this world."""
_SECRET = "4dabf18193072939515e22adb298388d"
"""Key of the mark itself."""
_RUN = """
import json, os, runpy, sys
import pulumi
from pulumi.runtime import mocks, set_all_config, test

found = []

class Mocks(mocks.Mocks):
    def new_resource(self, args):
        found.append({"type": args.typ, "name": args.name, "inputs": args.inputs})
        extra = {"endpoints": [{"addresses": [sys.argv[4]]}], "ports": [{"port": 6443}]}
        return args.name, {**args.inputs, **(extra if args.typ.endswith(":EndpointSlice") else {})}
    def call(self, args):
        return {}

pulumi.runtime.set_mocks(Mocks(), project="platform", stack="test", preview=True)
image, key = sys.argv[2:4]
set_all_config({"platform:image": image, "platform:paymentsApiKey": key}, ["platform:paymentsApiKey"])
test(lambda: runpy.run_path(sys.argv[1], run_name="__main__"))()
json.dump(found, sys.stdout)
"""


@cache
def declared(stack: str, image: str = "registry.example:5000/team/python:3.13") -> list[dict[str, Any]]:
    """Type, name and inputs of each resource."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(STACKS / stack / "__main__.py"), image, KEY, API_SERVER],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return list(json.loads(done.stdout, object_hook=_revealed))


def _revealed(value: dict[str, Any]) -> Any:
    """What Pulumi marks as secret, without the mark."""
    return value["value"] if _SECRET in value else value
