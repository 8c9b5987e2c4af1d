"""What the plugin can't find, neither on PATH, nor in the cache, nor as a release that can be downloaded."""

from collections.abc import Callable

from pytest_k8ssec import tools
from pytest_k8ssec.errors import ToolMissing


def lacking(say: Callable[[str], None]) -> bool:
    """Look for everything that a run needs, fetching pinned releases where they are within reach.

    Args:
        say: told where each thing was found, or why not.

    Returns:
        whether something is missing, so that it has to be built.
    """
    looks: dict[str, Callable[[], tools.Tool | tools.Image]] = {
        "kind": lambda: tools.find("kind"),
        "pulumi": lambda: tools.find("pulumi"),
        "node image": tools.node_image,
        "probe image": tools.probe_image,
    }
    for name, look in looks.items():
        try:
            found = look()
        except ToolMissing as error:
            say(f"{name}: {error.message}")
            return True
        say(f"{name}: {found.origin}")
    return False
