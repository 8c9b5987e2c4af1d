"""The one exception that a user is meant to see."""


class ToolchainError(Exception):
    """Something outside this program stands in the way; the message says what, why, and what to do about it."""
