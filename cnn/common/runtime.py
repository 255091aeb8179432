"""How a program of this project begins and ends: its arguments, its last words and its exit code."""

import argparse
import atexit
import os
import sys
from collections.abc import Callable
from multiprocessing import parent_process
from types import TracebackType

STOPPED = "stopped: nothing half-written was left; `dvc repro` goes on from here"


class UserError(Exception):
    """A mistake its user can mend. The message is one line: what was found, expected, what to do."""


def run_stage(main: Callable[[], None]) -> None:
    """`run` for a stage, whose parameters stand in params.yaml.

    --help is answered with the stage's docstring, and any other argument is refused.
    """
    doc = sys.modules[main.__module__].__doc__
    argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    run(main)


def run(main: Callable[[], None], stopped: str = STOPPED) -> None:
    """Call `main` as the body of a program, its last call: a user's mistake ends as one line and exit code 1.

    stopped: what Ctrl-C ends with.

    Output lines are flushed as they are printed, so that DVC and log files show progress live, and
    a file name that the terminal's encoding cannot show is escaped instead of ending the program.
    """
    global _exit_code
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        main()
        _exit_code = 0
        return
    except UserError as error:
        message = f"error: {error}"
    except KeyboardInterrupt:
        message = stopped
    except FileNotFoundError as error:
        message = f"error: {error.filename or error} is missing; `dvc repro` makes what a stage needs"
    except OSError as error:
        # A full disk, a missing right: facts about the machine, which a traceback would only hide.
        where = f" ({error.filename})" if error.filename else ""
        message = f"error: {error.strerror or error}{where}; free space or rights, then run again"
    except Exception:
        _exit_code = 1
        raise
    _exit_code = 1
    sys.exit(" ".join(message.split()))


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while libraries are still being imported is no bug to show a traceback of."""
    if issubclass(kind, KeyboardInterrupt):
        print(STOPPED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook

# What the program ends with, once that is known. Worker processes (cnn.common.parallel) end when they are told to:
# errors travel to the program that began them, which does not ask for their exit codes.
_exit_code = None if parent_process() is None else 0


def _exit_at_once() -> None:
    """End a process that has nothing left to do, and threads that are in the midst of work that nobody waits for.

    To take apart what TensorFlow left takes a quarter of a second, and is not for threads that still use it.
    """
    if _exit_code is None:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python tries again, and says so
        return
    os._exit(_exit_code)


atexit.register(_exit_at_once)  # before what the program's libraries register, and so called after it
