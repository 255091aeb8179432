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
from contextlib import contextmanager
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
    with ignore_sigint():
        results = joblib.Parallel(n_jobs=count(workers), return_as="generator", batch_size=1)(calls)
    with report_killed_worker(workers):
        yield from results


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
    ended: SimpleQueue = SimpleQueue()

    def call() -> None:
        try:
            work()
            ended.put(None)
        except BaseException as error:
            ended.put(error)

    for _ in range(threads):
        Thread(target=call, daemon=True).start()
    for _ in range(threads):
        if error := ended.get():
            raise error


@contextmanager
def report_killed_worker(workers: int | str) -> Iterator[None]:
    """Raise UserError where the system has killed a worker process."""
    try:
        yield
    except BrokenProcessPool as error:
        if error.__cause__:  # a result that could not be pickled
            raise
        raise UserError(
            f"one of {count(workers)} worker processes was killed, most likely because memory ran out; "
            "lower `workers` in params.yaml, or close other programs"
        ) from None


@contextmanager
def ignore_sigint() -> Iterator[None]:
    """Processes that start in the block ignore Ctrl-C, which reaches all: this process ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def progress(results: Iterable[Result], total: int, what: str) -> Iterator[Result]:
    """Yield `results` and show on stderr how many there are so far. Each counts for `len(result)` of the `total`."""
    seconds = 0.1 if sys.stderr.isatty() else 10  # between two updates; in a log each is a line
    with tqdm(total=total, desc=what, unit="", mininterval=seconds, leave=False) as bar:
        for result in results:
            bar.update(len(result))
            yield result
