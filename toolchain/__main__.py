"""The command line: `python3 -m toolchain`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from toolchain import docker
from toolchain.build import build
from toolchain.console import Console
from toolchain.errors import ToolchainError
from toolchain.plan import plan
from toolchain.settings import cache_root
from toolchain.status import status

EPILOG = """\
Everything is kept under $K8SSEC_CACHE (by default k8ssec in your cache folder), named by a hash of what it was made
from: what is there is never built again, and what changed is. An interrupted build goes on where it was.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 1 for an error and 130 for an interrupt."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    try:
        match arguments.command:
            case "build":
                build(plan(), arguments.only, console)
            case "get":
                # Only here: it needs the project's own environment, and building needs nothing.
                from toolchain.wanted import has_to_be_built

                if has_to_be_built(console.say):
                    build(plan(), [], console)
            case "docker":
                docker.ensure(console.say)
            case "status":
                status(plan())
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m toolchain",
        description="Builds every tool that pytest-k8ssec needs, from package registries alone.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    building = commands.add_parser(
        "build",
        help="build what is missing: kind, kubectl, pulumi, its Kubernetes provider, node image, probe image",
        description=f"Builds what is missing under {cache_root()}, and writes tools.json there. Cold: 15 minutes.",
    )
    building.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="just these, and what they need; `status` tells the names"
    )
    commands.add_parser(
        "get",
        help="have all tools: from PATH, the cache, or pinned releases; what is out of reach is built",
        description="Looks where the plugin looks, and builds only where that is not enough. Run it in the project's .venv.",
    )
    commands.add_parser(
        "docker",
        help="have a docker daemon that answers, and kernel limits fit for kind",
        description="Says so if a docker daemon answers. Else, as root on Debian, installs and starts one.",
    )
    commands.add_parser("status", help="tell what is there and what is missing")
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
