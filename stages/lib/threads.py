"""Threads that call machine code for some of a batch's pictures each, and the memory that such code works on."""

import math
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

import numpy as np


class Threads:
    """Threads that share a batch's pictures; each has memory of its own to work in.

    A step waits for them twice, so they take calls from plain queues: an executor's futures cost 20 microseconds more.
    """

    def __init__(self, count: int, numbers: int):
        self._scratch = [aligned((numbers,)) for _ in range(count)]
        self._done: SimpleQueue = SimpleQueue()
        self._others = [SimpleQueue() for _ in range(count - 1)]
        for calls in self._others:
            Thread(target=_work, args=(calls, self._done), daemon=True).start()
            weakref.finalize(self, calls.put, None)

    def share(self, n: int, calls: Callable[[slice, int], list[Callable]]) -> list[list[Callable]]:
        """For each thread what `calls`, given some of the n pictures and its memory, says it has to call."""
        share = -(-n // len(self._scratch))
        starts = zip(range(0, n, share), self._scratch, strict=False)
        return [calls(slice(start, min(start + share, n)), address(scratch)) for start, scratch in starts]

    def run(self, shares: list[list[Callable]]) -> None:
        """What `share` gave."""
        first, *others = shares
        for calls, mine in zip(self._others, others, strict=False):
            calls.put(mine)
        _call(first)
        for _ in others:
            self._done.get()


def _work(calls: SimpleQueue, done: SimpleQueue) -> None:
    while mine := calls.get():
        _call(mine)
        done.put(None)


def _call(functions: list[Callable[[], None]]) -> None:
    for each in functions:
        each()


def aligned(shape: tuple[int, ...], beyond: int = 0, kind: type = np.float32) -> np.ndarray:
    """Zeros, at an address for vectors, with `beyond` more before and after them."""
    size, count = np.dtype(kind).itemsize, math.prod(shape)
    whole = np.zeros((count + 2 * beyond) * size + 64, np.uint8)
    start = beyond * size + -(whole.ctypes.data + beyond * size) % 64
    return whole[start : start + count * size].view(kind).reshape(shape)


def address(numbers: np.ndarray) -> int:
    """The address of the first number."""
    return numbers.ctypes.data
