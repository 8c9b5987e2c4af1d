"""The hardened stack on a cluster of another shape: all that is held on the usual one is held there too.

One shape, drawn by K8SSEC_SHAPES_SEED, or that of K8SSEC_SHAPE; ``make test-shapes`` does all. Those with several control
planes are not drawn: what kind puts before these is built only for who asks.
"""

from __future__ import annotations

import os
import random
import secrets
from pathlib import Path

import pytest

from bench.shapes.run import judge
from bench.shapes.shape import shapes

SEED = int(os.environ.get("K8SSEC_SHAPES_SEED") or secrets.randbelow(10**6))
SHAPES = shapes()
PROVEN = ("one-node", "nftables", "other-networks", "cluster-domain")
"""Those of which the page tells that they hold; the others are for `make test-shapes`."""
DRAWN = os.environ.get("K8SSEC_SHAPE") or random.Random(SEED).choice(PROVEN)


def test_a_shape_changes_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or only as was written down before, with the reason."""
    monkeypatch.setenv("K8SSEC_STATE", str(tmp_path / "state"))
    rows, came = judge(SHAPES[DRAWN], tmp_path / DRAWN)
    wrong = [row.line for row in rows if not row.right]
    assert not wrong, f"K8SSEC_SHAPE={DRAWN} (K8SSEC_SHAPES_SEED={SEED}): {came.why}\n" + "\n".join(wrong)
