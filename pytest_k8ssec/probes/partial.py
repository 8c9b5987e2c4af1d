"""Headers that ask the API server for an object's metadata only, so that no value leaves it."""

from __future__ import annotations

_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"

ONE = {"Accept": _METADATA.format("")}
"""For one object."""
MANY = {"Accept": _METADATA.format("List")}
"""For a list."""
