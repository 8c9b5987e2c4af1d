"""Headers that the API server understands: metadata only, so that no value leaves it; and the kinds of a patch."""

from __future__ import annotations

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
MERGE_PATCH_TYPE = "application/merge-patch+json"
MERGE_PATCH = {"Content-Type": MERGE_PATCH_TYPE}


_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"

METADATA_OF_ONE = {"Accept": _METADATA.format("")}
"""For one object."""
METADATA_OF_MANY = {"Accept": _METADATA.format("List")}
"""For a list."""
