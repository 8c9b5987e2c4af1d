"""Which pieces of a secret are public: those that stand in our own text, wherever that is cut, and no others."""

from __future__ import annotations

import random
from pathlib import Path

from pytest_k8ssec.secrecy import public

_TEXT = Path(public.__file__).read_text(encoding="utf-8")


def test_each_piece_of_our_own_text_is_public() -> None:
    """Of any length, and from each place: at its beginning and its end too."""
    chance = random.Random(7)
    starts = [0, len(_TEXT) - 40, *(chance.randrange(len(_TEXT) - 40) for _ in range(3000))]
    assert not [
        piece for at in starts for piece in (_TEXT[at : at + chance.randint(4, 40)],) if not public.is_public(piece)
    ]


def test_hardly_anything_else_is_even_looked_for() -> None:
    """A word of ours with another character in it is none of ours; random ones don't get as far as the search of the text."""
    assert public.is_public("certificate-authority-data")
    assert not public.is_public("certificate-authority-dat4")
    assert not public.is_public("8ertificate-authority-data")
    chance = random.Random(8)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
    pieces = ["".join(chance.choices(letters, k=12)) for _ in range(2000)]
    _, blocks = public._published()
    assert not [piece for piece in pieces if public.is_public(piece)]
    assert sum(public._may_stand(piece[: public._SPAN], blocks) for piece in pieces) < len(pieces) / 5
