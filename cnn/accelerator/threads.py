"""Threads that share a batch's pictures, and call machine code for them.

A step takes about a millisecond and shares four times. To wake a thread that sleeps takes 50 microseconds, and so does
waiting for Python's lock. So while a training runs, its threads stay in machine code: they look again and again
whether there are calls for them, and need nothing of Python to make them.
"""

import ctypes
import functools
import os
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread

import numpy as np

from cnn.accelerator.machine_code import Call, MachineCode, address, aligned

# A seat is where one thread is told what to do, and says what it has done. Each of its numbers has a line of the
# processor's cache to itself, so that nobody waits for a line that another one writes to.
LINE = 8  # numbers
TURN, DONE, CALLS = 0, LINE, 2 * LINE
ASLEEP = 0  # a turn that ends `serve`; the others count from 1
# While it looks, a thread leaves its core to whatever else can use it.
YIELD = "SwitchToThread" if os.name == "nt" else "sched_yield"
CODE = f"""
declare i32 @{YIELD}()

define void @"tell a turn"(ptr %at, i64 %turn) {{
  store atomic i64 %turn, ptr %at release, align 8
  ret void
}}

define void @"wait until"(ptr %at, i64 %turn) {{
  br label %look
look:
  call i32 @{YIELD}()
  %found = load atomic i64, ptr %at acquire, align 8
  %there = icmp eq i64 %found, %turn
  br i1 %there, label %end, label %look
end:
  ret void
}}

; calls: how many, and of each its entry and its arguments' address
define void @"make calls"(ptr %calls) {{
  %count = load i64, ptr %calls
  %first = getelementptr i64, ptr %calls, i64 1
  %last = getelementptr {{ptr, ptr}}, ptr %first, i64 %count
  br label %one
one:
  %call = phi ptr [%first, %0], [%next, %one]
  %entry = load ptr, ptr %call
  %at = getelementptr i64, ptr %call, i64 1
  %arguments = load ptr, ptr %at
  call void %entry(ptr %arguments)
  %next = getelementptr {{ptr, ptr}}, ptr %call, i64 1
  %over = icmp eq ptr %next, %last
  br i1 %over, label %end, label %one
end:
  ret void
}}

; At each turn after `before`, make the calls.
define void @"serve a seat"(ptr %seat, i64 %before) {{
  %done = getelementptr i64, ptr %seat, i64 {DONE}
  %place = getelementptr i64, ptr %seat, i64 {CALLS}
  br label %look
look:
  %last = phi i64 [%before, %0], [%last, %look], [%turn, %some]
  call i32 @{YIELD}()
  %turn = load atomic i64, ptr %seat acquire, align 8
  %same = icmp eq i64 %turn, %last
  br i1 %same, label %look, label %new
new:
  %over = icmp eq i64 %turn, {ASLEEP}
  br i1 %over, label %end, label %some
some:
  %calls = load ptr, ptr %place
  call void @"make calls"(ptr %calls)
  store atomic i64 %turn, ptr %done release, align 8
  br label %look
end:
  store atomic i64 {ASLEEP}, ptr %done release, align 8
  ret void
}}
"""


@functools.cache
def _code() -> MachineCode:
    return MachineCode(CODE)


class Share:
    """The calls of one thread, as machine code reads them. There is at least one."""

    def __init__(self, calls: Sequence[Call]):
        assert calls
        self._calls = calls  # their arguments have to live as long
        pairs = [(call.entry, call.at) for call in calls]
        self._numbers = np.array([len(calls), *np.ravel(pairs)], np.int64)
        self.address = address(self._numbers)


class Threads:
    """Threads that share a batch's pictures, each with memory of its own to work in.

    Within `with threads:`, which is not for a second one in it, the others are awake, and each keeps a core busy;
    outside this one does their share, too.
    """

    def __init__(self, count: int, numbers: int):
        """numbers: of float32, that each thread's memory holds."""
        self._scratch = [aligned((numbers,)) for _ in range(count)]
        self._seats = aligned((count - 1, 3 * LINE), kind=np.int64)
        self._turn, self._awake = 1, False
        code = _code()
        number, pointer = ctypes.c_int64, ctypes.c_void_p
        self._tell = code.function("tell a turn", pointer, number)
        self._wait = code.function("wait until", pointer, number)
        self._make = code.function("make calls", pointer)
        serve = code.function("serve a seat", pointer, number)
        self._turns: list[SimpleQueue] = [SimpleQueue() for _ in self._seats]
        for turns, seat in zip(self._turns, self._seats, strict=True):
            Thread(target=_serve, args=(turns, seat, serve), daemon=True).start()
            weakref.finalize(self, turns.put, None)

    def __enter__(self) -> "Threads":
        assert not self._awake
        self._seats[:, [TURN, DONE]] = self._turn
        self._awake = True
        for turns in self._turns:
            turns.put(self._turn)
        return self

    def __exit__(self, *_: object) -> None:
        self._awake = False
        for seat in self._seats:
            self._tell(address(seat), ASLEEP)
            self._wait(address(seat[DONE:]), ASLEEP)

    def share(self, n: int, calls: Callable[[slice, int], Sequence[Call]]) -> list[Share]:
        """For each thread what `calls` says for some of the n pictures and the memory at an address."""
        share = -(-n // len(self._scratch))
        starts = zip(range(0, n, share), self._scratch, strict=False)
        return [Share(calls(slice(start, min(start + share, n)), address(scratch))) for start, scratch in starts]

    def run(self, shares: Sequence[Share]) -> None:
        """Make the calls that `share` gave, and wait for the end of all."""
        if not self._awake:
            for each in shares:
                self._make(each.address)
            return
        self._turn += 1
        first, *others = shares
        busy = self._seats[: len(others)]
        for seat, each in zip(busy, others, strict=True):
            seat[CALLS] = each.address
            self._tell(address(seat), self._turn)
        self._make(first.address)
        for seat in busy:
            self._wait(address(seat[DONE:]), self._turn)


def _serve(turns: SimpleQueue, seat: np.ndarray, serve: Callable[..., None]) -> None:
    while turn := turns.get():
        serve(address(seat), turn)
