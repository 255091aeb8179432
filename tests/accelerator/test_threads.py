"""Threads that share calls of machine code, tried with calls that write down that they were made."""

import time

import numpy as np
import pytest
from llvmlite import ir

from cnn.accelerator.machine_code import I64, POINTER, Call, MachineCode, address
from cnn.accelerator.threads import Share, Threads


@pytest.fixture(scope="module")
def counter() -> MachineCode:
    """count(at, by): adds `by` to the number at an address."""
    module = ir.Module("counter")
    kind = ir.FunctionType(ir.VoidType(), [POINTER, I64])
    function = ir.Function(module, kind, "count")
    build = ir.IRBuilder(function.append_basic_block())
    at, by = function.args
    build.store(build.add(build.load(at, typ=I64), by), at)
    build.ret_void()
    return MachineCode(module)


def shares(threads: Threads, counter: MachineCode, counts: np.ndarray) -> list[Share]:
    """Each of `counts` is a picture: it grows by 1, and then by 10."""

    def calls(some: slice, _: int) -> list[Call]:
        places = range(some.start, some.stop)
        return [counter.call("count", address(counts[i:]), by) for i in places for by in (1, 10)]

    return threads.share(len(counts), calls)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_call_is_made_once_in_every_turn(counter, count):
    threads, counts = Threads(count, 0), np.zeros(4, np.int64)
    one_turn = shares(threads, counter, counts)
    for made in range(1, 500):
        threads.run(one_turn)  # by this thread alone
        with threads:
            threads.run(one_turn)
            threads.run(one_turn)
            assert counts.tolist() == [33 * made] * 4


def test_pictures_are_shared_in_order_and_evenly_and_each_thread_has_its_memory(counter):
    seen = []
    threads, counts = Threads(3, 100), np.zeros(1, np.int64)
    call = counter.call("count", address(counts), 1)
    threads.share(8, lambda some, scratch: seen.append((some, scratch)) or [call])
    assert [each for each, _ in seen] == [slice(0, 3), slice(3, 6), slice(6, 8)]
    places = [scratch for _, scratch in seen]
    assert min(np.diff(sorted(places))) >= 400 and all(place % 64 == 0 for place in places)


def test_threads_sleep_when_nothing_runs_also_after_an_error(counter):
    threads, counts = Threads(2, 0), np.zeros(4, np.int64)
    with pytest.raises(ZeroDivisionError), threads:
        threads.run(shares(threads, counter, counts))
        _ = 1 / 0
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.2  # a thread that is awake uses all of its core


def test_language_that_llvm_does_not_know_is_refused():
    start_that_is_jumped_to = "define void @f() {\nagain:\n  br label %again\n}"
    with pytest.raises(RuntimeError, match="predecessors"):
        MachineCode(start_that_is_jumped_to)


def test_calls_that_the_code_would_read_wrongly_are_refused(counter):
    with pytest.raises(KeyError, match="unknown"):
        counter.call("unknown", 1, 2)
    with pytest.raises(TypeError, match="count takes 2 arguments, not 1"):
        counter.call("count", 1)
    with pytest.raises(AssertionError):
        Share([])
    threads = Threads(2, 0)
    with threads, pytest.raises(AssertionError), threads:
        pass
