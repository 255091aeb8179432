"""The one place that distributes work to processes, and that distributes trainings to threads.

`parallel_map` takes a function and its arguments and yields the results in order, whatever the number of processes.
joblib does the work, so `joblib.parallel_config(backend=...)` can select another backend, such as a Dask cluster, and
no caller changes. `in_threads` is for trainings that are mostly machine code.
"""

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

import joblib
from tqdm import tqdm

from cnn.common.runtime import UserError

Result = TypeVar("Result")


def count(workers: int | str) -> int:
    """The number of processes or threads for params.yaml's `workers`: auto is one per core that this process may use.

    In a container it may use fewer cores than it sees, and joblib knows how many.
    """
    return joblib.cpu_count() if workers == "auto" else int(workers)


def parallel_map(function: Callable[..., Result], arguments: Iterable[tuple], workers: int | str) -> Iterator[Result]:
    """Yield `function(*a)` for each `a` of `arguments`, in order, computed by `workers` processes.

    With one worker everything runs in this process. Raises what `function` raises, and UserError when a worker is
    killed.
    """
    calls = (joblib.delayed(_in_worker)(function, *each) for each in arguments)
    # Processes that start now ignore Ctrl-C, which reaches all: this process ends them.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        results = joblib.Parallel(n_jobs=count(workers), return_as="generator", batch_size=1)(calls)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield from results
    except BrokenProcessPool as error:
        if error.__cause__:  # a result that could not be pickled
            raise
        raise UserError(
            f"one of {count(workers)} worker processes was killed, most likely because memory ran out; "
            "lower `workers` in params.yaml, or close other programs"
        ) from None


def _in_worker(function: Callable[..., Result], *arguments: object) -> Result:
    _end_with_parent()
    return function(*arguments)


@functools.cache
def _end_with_parent() -> None:
    """End this worker process when its parent is gone; nobody waits for its result any more."""
    if parent := multiprocessing.parent_process():

        def watch() -> None:
            while os.getppid() == parent.pid:
                time.sleep(1)
            os._exit(1)

        Thread(target=watch, daemon=True).start()


def in_threads(work: Callable[[], None], threads: int) -> None:
    """Call `work` in `threads` threads of this process at once, and wait for all. Raises the first error.

    They are daemons, so that an interrupted program does not wait for them, as it does for those of an executor.
    """
    outcomes: SimpleQueue = SimpleQueue()

    def call() -> None:
        try:
            work()
            outcomes.put(None)
        except BaseException as error:
            outcomes.put(error)

    for _ in range(threads):
        Thread(target=call, daemon=True).start()
    for _ in range(threads):
        if error := outcomes.get():
            raise error


def progress(results: Iterable[Result], total: int, what: str) -> Iterator[Result]:
    """Yield `results` and show how many there are so far. Each counts for `len(result)` of the `total`.

    A bar on a terminal's stderr; elsewhere lines on stdout, because stderr is for errors alone.
    """
    terminal = sys.stderr.isatty()
    file, seconds = (sys.stderr, 0.1) if terminal else (sys.stdout, 10)
    with tqdm(total=total, desc=what, unit="", file=file, mininterval=seconds, leave=not terminal) as bar:
        for result in results:
            bar.update(len(result))
            yield result
