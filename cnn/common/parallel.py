"""The one place where work is spread over processes, and where a stage's is spread over threads.

Callers of `parallel_map` give a function and its arguments and get the results in order, whatever the number
of processes; it is joblib's work, and a backend other than the default (a Dask cluster, say) is put beneath it with
`joblib.parallel_config(backend=...)`, and no caller changes. `round_robin` has threads, for work that is machine code
for the most part and wants to share what it has compiled; joblib has nothing that takes turns at generators.
"""

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

import joblib
from tqdm import tqdm

from cnn.common.runtime import UserError

Result = TypeVar("Result")
END = object()  # what a piece gives that has nothing left to yield


def count(workers: int | str) -> int:
    """The number of processes or threads for params.yaml's `workers`: auto is one a core that this process may use.

    Of a container's cores it may use fewer than it sees, which joblib knows.
    """
    return joblib.cpu_count() if workers == "auto" else int(workers)


def parallel_map(function: Callable[..., Result], arguments: Iterable[tuple], workers: int | str) -> Iterator[Result]:
    """Yield `function(*a)` for each `a` of `arguments`, in order, computed by `workers` processes.

    With one process everything runs in this one. An exception of `function` is raised here; UserError when
    a process is killed.
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
    """End this process when the one that began it is gone: a call would go on, for nobody."""
    if parent := multiprocessing.parent_process():

        def watch() -> None:
            while os.getppid() == parent.pid:
                time.sleep(1)
            os._exit(1)

        Thread(target=watch, daemon=True).start()


def round_robin(pieces: Sequence[Iterator[Result]], threads: int) -> Iterator[Result]:
    """Yield what each of `pieces` yields, as it comes, computed by `threads` threads of this process.

    No piece is in two threads at once. Each is computed to its end, until few are left: these take turns at each
    result, so that three keep two threads busy to the end. So few have begun at any time, and what they hold is in
    memory. An exception of a piece is raised here, and ends the others at their next result.
    """
    waiting, results, left, few = SimpleQueue(), SimpleQueue(), len(pieces), 2 * threads - 1

    def work() -> None:
        while (piece := waiting.get()) is not None:
            while True:
                try:
                    result, error = next(piece, END), None
                except BaseException as raised:
                    result, error = END, raised
                results.put((result, error))
                if result is END or left <= few:
                    break
            if result is not END:
                waiting.put(piece)

    for piece in pieces:
        waiting.put(piece)
    for _ in range(threads):
        Thread(target=work, daemon=True).start()  # nobody waits for them where this is interrupted
    try:
        while left:
            result, error = results.get()
            if error:
                raise error
            if result is END:
                left -= 1
            else:
                yield result
    finally:
        left = 0
        with suppress(Empty):
            while True:
                waiting.get_nowait()
        for _ in range(threads):
            waiting.put(None)


@contextmanager
def report_killed_worker(workers: int | str) -> Iterator[None]:
    """Raise UserError where the system has killed a worker process."""
    try:
        yield
    except BrokenProcessPool as error:
        if error.__cause__:  # what came of a call could not travel
            raise
        raise UserError(
            f"one of {count(workers)} worker processes was killed, most likely because memory ran out; "
            "lower `workers` in params.yaml, or close other programs"
        ) from None


@contextmanager
def ignore_sigint() -> Iterator[None]:
    """Ctrl-C in a terminal reaches every process: those started within leave it to this one, which ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def progress(results: Iterable[Result], total: int, what: str) -> Iterator[Result]:
    """Pass `results` on and show how many have come: tqdm's bar on a terminal, a plain line a tenth elsewhere.

    Each result counts `len(result)` pieces of the `total`. The lines are our own: tqdm draws over the one before,
    and in a log nothing can be drawn over.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=what, unit="", leave=False) as bar:
            for result in results:
                bar.update(len(result))
                yield result
        return
    done = shown = 0
    for result in results:
        done += len(result)
        if done * 10 // total > shown:
            shown = done * 10 // total
            print(f"{what}: {done} of {total}", flush=True)
        yield result
