"""How long a token is good for, by its own claims."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_k8ssec.controls.id.token_lifetime import lifetime


@pytest.mark.parametrize(
    ("claims", "seconds"),
    [
        ({"iat": 100, "exp": 3707}, 3607),
        ({"iat": 100}, math.inf),
        ({}, math.inf),
        ({"exp": 3707}, None),
    ],
)
def test_a_token_without_an_end_lives_forever(claims: dict[str, Any], seconds: float | None) -> None:
    """One whose beginning is not told is good for nobody knows how long."""
    assert seconds == lifetime(claims)
