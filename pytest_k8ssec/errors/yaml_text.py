"""YAML that somebody wrote, as plain values or as nodes with their places: whatever is wrong with it is one kind of error.

PyYAML tells of most mistakes by errors of its own. Of a date that there is not, of a number of five thousand digits, of
``!!bool 7`` or of a text that is nested too deeply it tells by whatever Python says of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml


class NotYaml(ValueError):
    """A text is no YAML, or not of plain values: why, in a line, and in which line of it, 0 where that is not known."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.why = why
        self.line = line


def load_yaml(text: str) -> Any:
    """The one document of a text, as plain values. Raises NotYaml."""
    import yaml  # each pytest run would pay for it

    with _told():
        return yaml.safe_load(text)


def load_yaml_documents(text: str) -> list[Any]:
    """All documents of a text, as plain values. Raises NotYaml."""
    import yaml

    with _told():
        return [*yaml.safe_load_all(text)]


def compose_yaml(text: str) -> yaml.Node | None:
    """The one document of a text, as nodes that know their lines; None where it is empty. Raises NotYaml."""
    import yaml

    with _told():
        return yaml.compose(text, yaml.SafeLoader)


def compose_yaml_documents(text: str) -> list[yaml.Node]:
    """All documents of a text, as nodes that know their lines. Raises NotYaml."""
    import yaml

    with _told():
        return [*yaml.compose_all(text, yaml.SafeLoader)]


@contextmanager
def _told() -> Iterator[None]:
    import yaml

    try:
        yield
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise NotYaml(error.problem or "it is not clear what is wrong", line) from error
    except RecursionError as error:
        raise NotYaml("it is nested too deeply") from error
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise NotYaml("a value is not what it looks like") from error  # which one is not quoted: it may be a secret
