"""How a program of this project runs: threads, instruction sets, seeds, and how it ends.

Import this module before numpy and TensorFlow: the environment variables below are read when those
libraries load. Processes that are started later (stages.lib.workers) inherit them.

Why they are needed, measured on TensorFlow 2.21: the bits of a trained model change with the number of
TensorFlow's threads and with the instruction set of the code that it compiles, so both are fixed, whatever the machine
has. What is left are its libraries of matrix products, which sum in the order that suits a processor's caches and
instructions: processors of the same kind give the same bits, others may differ in the last ones.
"""

import argparse
import atexit
import functools
import gc
import os
import platform
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from types import TracebackType

THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
# A barrier holds until XLA has laid out its memory (stages.lib.trainer).
XLA = "--xla_disable_hlo_passes=cse_barrier_expander"
AVX2 = {
    "XLA_FLAGS": f"{XLA} --xla_cpu_max_isa=AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # numpy's AVX-512 routines (sin, exp, log) round differently from its AVX2 ones.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    # A program that ends early can outrun the process that keeps a list of its semaphores, which then warns of one
    # that is gone already.
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
}
# The same bits must not depend on a card that one machine has and another has not.
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}

ENVIRONMENT = THREADS | QUIET | NO_GPU | {"XLA_FLAGS": XLA}
if platform.machine().lower() in ("x86_64", "amd64"):
    ENVIRONMENT |= AVX2
os.environ.update(ENVIRONMENT)


@contextmanager
def native_log_held_back() -> Iterator[None]:
    """Hold back what libraries write to file descriptor 2 meanwhile; show it if the block fails.

    TensorFlow greets with lines about its build before its own log level is in force.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class UserError(Exception):
    """A mistake its user can mend. The message is one line: what was found, expected, what to do."""


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's old and TensorFlow's generators.

    `numpy.random.default_rng` is not covered: give it a seed where it is made. TensorFlow's switch for
    deterministic operations is left alone: all are so far, and XLA compiles others where it is on.
    """
    keras, _ = import_keras()
    keras.utils.set_random_seed(seed)


def import_keras() -> tuple:
    """The modules keras and tensorflow, imported and initialised without their greetings, in half the time.

    What they leave in memory stays to the end of the process. To look for garbage among it takes a third of
    the import, and once more at the end most of a second, so Python is told not to. And both import
    libraries for tables, drawings and numbers where they are installed; nothing here asks for those. The operations'
    types are named in 18,000 strings, of which Python compiles each: 114 differ.
    """
    unneeded = {"matplotlib", "pandas", "scipy"} - sys.modules.keys()
    sys.modules.update(dict.fromkeys(unneeded))  # None: as if it were not installed
    typing.compile = functools.cache(compile)
    gc.disable()
    try:
        with native_log_held_back():
            import keras
            import tensorflow

            tensorflow.constant(0)
        gc.freeze()
    finally:
        gc.enable()
        del typing.compile
        for name in unneeded:
            del sys.modules[name]
    return keras, tensorflow


def no_arguments(doc: str) -> None:
    """Answer --help with a program's docstring and refuse any other argument, as a stage's are in params.yaml."""
    argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()


STOPPED = "stopped: nothing half-written was left; `dvc repro` goes on from here"


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while libraries are still being imported is no bug to show a traceback of."""
    if issubclass(kind, KeyboardInterrupt):
        print(STOPPED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook

# What the program ends with, once that is known. Processes of stages.lib.workers end when they are told to: errors
# travel to the program that began them, which does not ask for their exit codes.
_exit_code = None if parent_process() is None else 0


def _leave() -> None:
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


atexit.register(_leave)  # before what the program's libraries register, and so called after it


def _call(function: Callable[[], None]) -> None:
    """Call `function`, in a frame that has room for the frames of all further calls behind it.

    Python takes memory for frames from the system 16 KiB at a time, and gives such a piece back when the call ends that
    began it. Where one ends within a deep loop, each call there costs two more of the system: while TensorFlow is
    imported and a network is traced 24,000 times, a tenth of the import's time. A frame that asks for much begins a
    piece of twice its size.
    """
    function()


_call.__code__ = _call.__code__.replace(co_stacksize=1 << 16)


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
        _call(main)
        _exit_code = 0
        return
    except UserError as error:
        last_words = f"error: {error}"
    except KeyboardInterrupt:
        last_words = stopped
    except FileNotFoundError as error:
        last_words = f"error: {error.filename or error} is missing; `dvc repro` makes what a stage needs"
    except OSError as error:
        # A full disk, a missing right: facts about the machine, which a traceback would only hide.
        where = f" ({error.filename})" if error.filename else ""
        last_words = f"error: {error.strerror or error}{where}; free space or rights, then run again"
    except Exception:
        _exit_code = 1
        raise
    _exit_code = 1
    sys.exit(_one_line(last_words))


def _one_line(text: str) -> str:
    return " ".join(text.split())
