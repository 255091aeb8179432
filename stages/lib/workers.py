"""The one place where work is spread over processes, and where a stage's is spread over threads.

Callers of `in_order` give a function and its arguments and get the results in order, whatever the number
of processes; it is joblib's work, and a backend other than the default (a Dask cluster, say) is put beneath it with
`joblib.parallel_config(backend=...)`, and no caller changes. `beside` has one process, which is there at once, and
`in_turns` threads, for work that is machine code for the most part and wants to share what it has compiled.
"""

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

import joblib
from tqdm import tqdm

from stages.lib.runtime import UserError

Result = TypeVar("Result")
END = object()  # what a piece gives that has nothing left to yield


def count(workers: int | str) -> int:
    """The number of processes or threads for params.yaml's `workers`: auto is one a core that this process may use.

    Of a container's cores it may use fewer than it sees, which joblib knows.
    """
    return joblib.cpu_count() if workers == "auto" else int(workers)


def in_order(function: Callable[..., Result], arguments: Iterable[tuple], workers: int | str) -> Iterator[Result]:
    """Yield `function(*a)` for each `a` of `arguments`, in order, computed by `workers` processes.

    With one process everything runs in this one. An exception of `function` is raised here; UserError when
    a process is killed.
    """
    calls = (joblib.delayed(_in_worker)(function, *each) for each in arguments)
    with _deaf_to_interrupts():
        results = joblib.Parallel(n_jobs=count(workers), return_as="generator", batch_size=1)(calls)
    with _killed_is_said(workers):
        yield from results


@contextmanager
def beside(workers: int | str) -> Iterator[Callable[..., Callable[[], object]]]:
    """What begins a call in a process beside this one: begin(function, *arguments) returns what waits for the result.

    With one process, a call is made here, when its result is asked for. Where the block fails, what was begun is ended.
    Errors are as `in_order` has them.
    """
    if count(workers) == 1:
        yield functools.partial
        return
    others = multiprocessing.active_children()
    context = multiprocessing.get_context("fork" if _alone() else "spawn")
    executor = ProcessPoolExecutor(1, context, initializer=_end_with_parent)

    def begin(function: Callable[..., Result], *arguments: object) -> Callable[[], Result]:
        with _deaf_to_interrupts():
            return executor.submit(function, *arguments).result

    with _killed_is_said(1):
        try:
            yield begin
        except BaseException:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            raise
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _alone() -> bool:
    """Whether this process is one thread. Of others a copy would have the memory, but in no order, and not the threads.

    A copy is there at once, and has imported what this process has; a new process takes a quarter of a second.
    """
    threads = Path("/proc/self/task")  # Linux's; others need new processes for the libraries of their system
    return threads.is_dir() and len(list(threads.iterdir())) == 1


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


def meanwhile(function: Callable[..., Result], *arguments: object) -> Callable[[], Result]:
    """Begin a call in a thread of this process; what is returned waits for its result, or raises its error."""
    future: Future = Future()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()  # nobody waits for it where this is interrupted
    return future.result


def in_turns(pieces: Sequence[Iterator[Result]], threads: int) -> Iterator[Result]:
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
def _killed_is_said(workers: int | str) -> Iterator[None]:
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
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C in a terminal reaches every process: those started meanwhile leave it to this one, which ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def progress(results: Iterable[Result], total: int, what: str) -> Iterator[Result]:
    """Pass `results` on and show how many have come: a bar on a terminal, a plain line a tenth elsewhere.

    Each result counts `len(result)` pieces of the `total`.
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
