"""A Python program run inside the child process as Pulumi's language host would run it: the same resources."""

from __future__ import annotations

import functools
import os
import runpy
import sys
import sysconfig
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import pulumi

from pytest_k8ssec.stack.messages import Job

_INSTALLED: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class InlineProgram:
    """Runs the user's program, any number of times, each time from a clean start."""

    def __init__(self) -> None:
        self._path = list(sys.path)
        self._modules = set(sys.modules)
        pulumi.Output.apply = _noting(pulumi.Output.apply)  # type: ignore[method-assign]

    def run(self, job: Job) -> None:
        """Run it once; resources that it declares go to the operation that is under way."""
        # Modules of the user's may declare resources as they are imported, so each run imports them anew.
        for name in set(sys.modules) - self._modules:
            if not _installed(sys.modules[name]):
                del sys.modules[name]
        os.chdir(job.directory)
        sys.path[:] = [job.directory, *self._path]
        sys.argv = [job.program]
        runpy.run_path(job.program, run_name="__main__")


def _installed(module: ModuleType) -> bool:
    """Whether a module belongs to Python or to an installed package: these are imported once, which saves seconds."""
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return not any(place and not place.startswith(_INSTALLED) for place in places)


def _noting(apply: Any) -> Any:
    """``Output.apply`` that notes where a callback raised: asyncio drops that once the error was awaited twice."""

    @functools.wraps(apply)
    def noting(output: Any, func: Callable[[Any], Any], *args: Any, **options: Any) -> Any:
        def call(value: Any) -> Any:
            try:
                return func(value)
            except Exception as error:
                error.add_note("".join(traceback.format_tb(error.__traceback__)))
                raise

        return apply(output, call, *args, **options)

    return noting
