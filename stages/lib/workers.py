"""The one place where work is spread over processes, through joblib.

Callers of `in_order` give a function and its arguments and get the results in order, whatever the number
of processes; a joblib backend other than the default (a Dask cluster, say) is put beneath them with
`joblib.parallel_config(backend=...)`, and no caller changes. `in_turns` is for work in parts that wait for
each other, which joblib does not know: it uses joblib's processes on this machine.
"""

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import joblib
from joblib.executor import get_memmapping_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from stages.lib.runtime import UserError

Result = TypeVar("Result")


def count(workers: int | str) -> int:
    """The number of processes for params.yaml's `workers`: auto is one for each core that this process may use.

    Of a container's cores it may use fewer than it sees, which joblib knows.
    """
    return joblib.cpu_count() if workers == "auto" else int(workers)


def in_order(function: Callable[..., Result], arguments: Iterable[tuple], workers: int | str) -> Iterator[Result]:
    """Yield `function(*a)` for each `a` of `arguments`, in order, computed by `workers` processes.

    With one process everything runs in this one. An exception of `function` is raised here; UserError when
    a process is killed.
    """
    calls = (joblib.delayed(function)(*each) for each in arguments)
    with _deaf_to_interrupts():
        results = joblib.Parallel(n_jobs=count(workers), return_as="generator", batch_size=1)(calls)
    with _killed_is_said(workers):
        yield from results


def prepare(function: Callable[[], object], workers: int | str) -> None:
    """Let the processes of a later `in_turns` call `function`, a long import, while this one goes on."""
    processes = count(workers)
    if processes > 1:
        with _deaf_to_interrupts():
            executor = get_memmapping_executor(processes)
            for _ in range(processes):
                executor.submit(function)


@contextmanager
def beside(workers: int | str) -> Iterator[Callable[..., Callable[[], object]]]:
    """What begins a call in a process beside this one: begin(function, *arguments) returns what waits for the result.

    With one process, a call is made here, when its result is asked for. Where the block fails, what was begun is ended.
    Errors are as `in_order` has them.
    """
    if count(workers) == 1:
        yield partial
        return
    with _deaf_to_interrupts():
        executor = get_memmapping_executor(1)

    def begin(function: Callable[..., Result], *arguments: object) -> Callable[[], Result]:
        with _deaf_to_interrupts():
            return executor.submit(function, *arguments).result

    with _ended_by_errors(executor), _killed_is_said(1):
        yield begin


def in_turns(function: Callable[..., bool], arguments: Iterable[tuple], workers: int | str) -> None:
    """Call `function(*a)` for each `a` of `arguments` again and again until it gives False, by `workers` processes.

    Each call does a part of a piece of work and says whether more is left of it. The pieces take turns, so
    that three keep two processes busy to the end; no piece is in two processes at once.
    """
    waiting, running, processes = deque(arguments), {}, count(workers)
    if processes == 1:
        for each in waiting:
            while function(*each):
                pass
        return

    def start() -> None:
        while waiting and len(running) < processes:
            each = waiting.popleft()
            running[executor.submit(function, *each)] = each

    with _deaf_to_interrupts():
        executor = get_memmapping_executor(processes)
        start()
    with _ended_by_errors(executor), _killed_is_said(workers):
        while running:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                each = running.pop(done)
                if done.result():
                    waiting.append(each)
                start()


@contextmanager
def _ended_by_errors(executor: Executor) -> Iterator[None]:
    try:
        yield
    except BaseException:
        executor.terminate(kill_workers=True)
        raise


@contextmanager
def _killed_is_said(workers: int | str) -> Iterator[None]:
    try:
        yield
    except TerminatedWorkerError:
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
