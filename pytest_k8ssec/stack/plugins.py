"""Which plugins Pulumi finds: those of providers that are allowed, so that no other is started before it is refused.

The engine starts a provider before it reports it, and an invoke of it may be over by then. Pulumi takes a plugin from
one of four places, and each place is closed to all other providers: ``PATH`` and Pulumi's own folder by stand-ins,
which stand first on ``PATH`` and end at once; the cache, as it holds the plugins of allowed providers alone; the
internet, by a download rule that leads nowhere.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pytest_k8ssec.errors import ToolMissing

REFUSES = "k8ssec-refuses"
"""Stands in what Pulumi says when it was kept from fetching a plugin."""
_PREFIX = "pulumi-resource-"
_OURS = "kubernetes"
_OFFICIAL = "github://api.github.com/pulumi/pulumi-"
"""How Pulumi calls the place of an official provider; there, and then at the second, it looks for it."""
_SECOND = "https://get.pulumi.com/releases/plugins"


def refusing_folder(folder: Path, pulumi: Path, path: str, allowed: Collection[str]) -> Path:
    """Make stand-ins for all plugins of other providers that Pulumi would find.

    Args:
        folder: where they are made.
        pulumi: the command line; it finds some plugins beside itself, which those on PATH win over.
        path: PATH as it would be without them.
        allowed: the providers that are not to be kept out, beside Kubernetes'.

    Returns:
        the folder that belongs first on PATH.

    Raises:
        ToolMissing: this machine has no program that just fails.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    # No file of ours: it could not be started where nothing may be, and Pulumi would go on looking.
    ends_at_once = shutil.which("false", path=os.pathsep.join([path, os.defpath]))
    if ends_at_once is None:
        raise ToolMissing("false: is not on PATH", fix="install coreutils")
    for name in _found([*path.split(os.pathsep), str(pulumi.resolve().parent)]):
        if name not in (_OURS, *allowed):
            stand_in = folder / f"{_PREFIX}{name}"
            stand_in.unlink(missing_ok=True)
            stand_in.symlink_to(ends_at_once)
    return folder


def cache_of(cache: Path, allowed: Collection[str]) -> Path:
    """The folder that keeps the plugins of these providers and no others."""
    return cache / "+".join(sorted({_OURS, *allowed}))


def download_rules(allowed: Collection[str]) -> str:
    """For ``PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES``: a plugin that nobody allowed is looked for where there is nothing.

    If a provider is allowed that Pulumi does not publish itself, the rules can't tell what comes from elsewhere; then
    only official providers are kept out.
    """
    open_to = [_OFFICIAL + name for name in (_OURS, *allowed)]
    places = [*open_to, _SECOND]
    return f"{_any_but(places, under=_OFFICIAL if allowed else '')}={REFUSES}://nowhere"


def _found(folders: Iterable[str]) -> Iterator[str]:
    for folder in dict.fromkeys(filter(None, folders)):
        try:
            names = [entry.name for entry in os.scandir(folder)]
        except OSError:
            continue  # PATH may name what is not there
        yield from (name.removeprefix(_PREFIX).removesuffix(".exe") for name in names if name.startswith(_PREFIX))


def _any_but(texts: Collection[str], *, under: str) -> str:
    """A pattern for each text but these, in words that Go knows, which has no negative look-ahead.

    Args:
        under: what a text must begin with to be matched at all.
    """
    begun = {text[:end] for text in texts for end in range(len(under), len(text) + 1) if text.startswith(under)}
    ways = []
    for start in sorted(begun):
        following = sorted({text[len(start)] for text in texts if text.startswith(start) and text != start})
        other = f"[^{''.join(re.escape(one) for one in following)}]" if following else "."
        ways.append(f"^{re.escape(start)}({other}{'' if start in texts else '|$'})")
    return "|".join(ways)
