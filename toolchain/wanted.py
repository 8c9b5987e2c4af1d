"""Whether the plugin finds what it needs on PATH or as releases that can be downloaded, or it has to be built."""

from collections.abc import Callable

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine import tools


def has_to_be_built(say: Callable[[str], None]) -> bool:
    """Look for everything that a run needs, fetching pinned releases where they are within reach.

    Args:
        say: told where each thing was found, or why not.

    Returns:
        whether something is missing, or was built here: then what has changed since is built anew.
    """
    looks: dict[str, Callable[[], tools.Tool | tools.Image]] = {
        "kind": lambda: tools.find_tool("kind"),
        "pulumi": lambda: tools.find_tool("pulumi"),
        "node image": tools.node_image,
        "probe image": tools.probe_image,
    }
    built_here = False
    for name, look in looks.items():
        try:
            found = look()
        except ToolMissing as error:
            say(f"{name}: {error.message}")
            return True
        say(f"{name}: {found.origin}")
        built_here = built_here or found.origin == "toolchain"
    return built_here
