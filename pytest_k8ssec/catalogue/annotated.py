"""Whether a function is a control: pytest asks it of every test of every run, so nothing heavy is imported for a no."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_k8ssec.catalogue.control import Control

ANNOTATION = "__k8ssec_control__"
"""The attribute of a test function that ``@control`` sets."""


def control_of(function: object) -> Control | None:
    """The control that a function is, or None."""
    found = getattr(function, ANNOTATION, None)
    if found is None:
        return None
    from pytest_k8ssec.catalogue.control import Control  # there already, where anything is annotated

    return found if isinstance(found, Control) else None
