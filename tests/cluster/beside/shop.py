"""What a team's tests are about."""


def price() -> int:
    """Of anything."""
    return 3
