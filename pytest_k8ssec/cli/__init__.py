"""The command ``k8ssec``. Each subcommand imports what it needs once it runs, so that ``--help`` is there at once.

More than twelve files: each is one command.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from pytest_k8ssec.cli.parser import parser
from pytest_k8ssec.errors import K8ssecError, SettingsError
from pytest_k8ssec.machine.signals import Terminated, obey_sigterm
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.secrecy.stream import draw_curtain

FAILURE, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: the arguments, without the command's own name; None for this process's.

    Returns:
        the exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.
    """
    draw_curtain(sys.stdout, sys.stderr)
    given.environment(os.environ)
    arguments = parser().parse_args(argv)
    undo = obey_sigterm()
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except K8ssecError as error:
        return _tell(str(error), USAGE if isinstance(error, SettingsError) else FAILURE)
    except Terminated:
        return _tell("ended by SIGTERM", TERMINATED)
    except KeyboardInterrupt:
        return _tell("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; python would complain once more as it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except OSError as error:
        return _tell(f"{error.filename or 'system'}: {error.strerror or error}", FAILURE)
    except Exception:  # noqa: BLE001 - a fault of ours: its traceback is shown as python would, but without secrets
        traceback.print_exc()
        return FAILURE
    finally:
        undo()
    return code


def _tell(text: str, code: int) -> int:
    from pytest_k8ssec.cli.say import say_text

    say_text(f"k8ssec: {text}", error=True)
    return code
