"""versions.toml, and where things are kept."""

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GO_MODULES = HERE / "go"


@cache
def versions() -> dict[str, Any]:
    """All of versions.toml."""
    with (HERE / "versions.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def cache_root() -> Path:
    """`$K8SSEC_CACHE`, or `k8ssec` under the user's cache folder; the plugin looks in the same place."""
    named = os.environ.get("K8SSEC_CACHE")
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "k8ssec"


def folder(name: str) -> Path:
    """A folder of ours inside the cache, made when first asked for."""
    path = cache_root() / name
    path.mkdir(parents=True, exist_ok=True)
    return path
