"""Machine code that reads the coefficients of a JPEG file's blocks, which stand in it as Huffman codes.

A code says how many coefficients are 0 and how many bits the next one has; these follow it (ITU-T T.81, annex F). Usual
readers look up one code at a time; here WINDOW bits are looked up, and tell of up to two coefficients with their bits.

Nothing that is read from the file becomes an address before it is bounded: what is looked up has WINDOW bits or is one
of 256 values, a coefficient's place is one of 256, and the next bytes are never further than there are some BEHIND.
"""

import functools
import operator
from collections.abc import Sequence

from llvmlite import ir

from stages.lib.integer_code import I64, INT, INTS, SHORT, SHORTS, Integer, IntegerCode
from stages.lib.machine_code import POINTER
from stages.lib.vector_code import BYTE, LANES

WINDOW = 11
BEHIND = 64  # bytes
NUMBERS_OF_CODES = 16 + 17 + 256  # int32: limits and offsets of the lengths, and values
BLOCK = 65  # places of a block: of 64 coefficients, and of what is none
NOWHERE = 128  # a place that is none from wherever it is counted
# What is counted at the end of a block, and for bits that tell nothing. The sum, less 1, has the bit OVERSHOT only for
# these, and where coefficients were too many.
ENDED, UNKNOWN, OVERSHOT = 129, 65, 64
FIRST, KEPT, PASSED = 1, 2, 4  # coefficients that are looked up at once, at most: a block's first one, others
FAULT = 4  # its place in the state
STATE, BLOCK_STATE = 5, 5  # int64 numbers of a file, and of each block
BLOCK_BYTES = 8 * BLOCK_STATE
LONGEST = 30  # bits of a code and its number, of which there are always as many; in a usual file they have at most 26
EIGHT, MANY = ir.VectorType(BYTE, 8), ir.VectorType(BYTE, 64)


def unstuff(module: ir.Module) -> None:
    """ "unstuff"(given, count, to, found): copy what stands before a marker, of each 255 and the 0 behind it the 255.

    count: at least 2. found: int64, how many bytes come out, and where the marker is; 64 more behind `to` are written.
    """
    code = IntegerCode(module, "unstuff", [POINTER, I64, POINTER, POINTER])
    given, count, to, found = code.arguments

    def some(source: Integer, target: Integer) -> tuple[Integer, ...]:
        def many() -> tuple[Integer, ...]:
            loaded = code.load(given, source, kind=MANY)
            code.store(loaded, to, target)
            full = loaded.is_("==", 255).as_(I64)
            return code.call("llvm.cttz.i64", full, ir.IntType(1)(0)), full.is_("!=", 0)

        def single() -> tuple[Integer, ...]:
            loaded = code.load(given, source, kind=BYTE)
            code.store(loaded, to, target)
            full = loaded.is_("==", 255)
            return full.choose(code.integer(0), 1), full

        before, full = code.either((count - source).is_(">", MANY.count), many, single)
        source, target = source + before, target + before
        nothing = code.integer(1, BYTE)
        (behind,) = code.either(full, lambda: [code.load(given, source + 1, kind=BYTE)], lambda: [nothing])
        stuffed = behind.is_("==", 0)
        source, target = source + stuffed.choose(code.integer(2), 0), target + stuffed.choose(code.integer(1), 0)
        return (source + 1).is_("<", count) & (stuffed | full.is_("==", 0)), source, target

    source, target = code.repeat(some, [code.integer(0), code.integer(0)])
    code.store(target, found)
    code.store(source, found, 1)
    code.build.ret_void()


def _first(code: IntegerCode, bits: Integer, codes: ir.Value) -> tuple[Integer, Integer, Integer, Integer]:
    """The code at the top of `bits`: its length (17 for none), it, its length with its number, and that number.

    Codes of a length are below a limit, as numbers of 16 bits, and the shorter ones below theirs.
    """
    top = bits >> 48
    longer = code.everywhere(top.to(INT)).is_(">=", code.load(codes, kind=INTS)).as_(SHORT)
    shorter = code.call("llvm.ctpop.i16", longer).to(I64)
    index = (top >> (15 - shorter & 15)) + code.load(codes, shorter + 16, kind=INT).to(I64, signed=True)
    symbol = code.load(codes, (index & 255) + 33, kind=INT).to(I64)
    length, size = shorter + 1, symbol & 15
    number = (bits << length) >> 1 >> (63 - size)
    above = code.integer(1) << size
    number = number - (number << 1).is_("<", above).choose(above - 1, 0)  # the lower half are numbers below 0
    return length, symbol, length + size, number


def _steps(code: IntegerCode, symbol: Integer) -> tuple[Integer, Integer]:
    """How far from the next place a code's coefficient is, and how far it moves on."""
    run = symbol >> 4
    ends = (symbol & 15).is_("==", 0) & run.is_("!=", 15)
    return ends.choose(code.integer(NOWHERE), run), ends.choose(code.integer(ENDED), run + 1)


def look_ahead(module: ir.Module) -> None:
    """ "look ahead"(ahead, codes, most): what each WINDOW bits begin with, up to `most` coefficients.

    ahead: int64 (2**WINDOW,). Bytes of a number: how many bits they take, the places of two, counted from the next one,
    how far that moves on, and 16 bits for each of the two. More than KEPT are passed over: what has no place takes its
    bits from beyond the window, too.
    """
    code = IntegerCode(module, "look ahead", [POINTER, POINTER, I64])
    ahead, codes, most = code.arguments
    keep, direct = most.is_("<=", KEPT), most.is_("==", FIRST)

    def window(x: Integer) -> None:
        bits = x << 64 - WINDOW

        def one_more(used: Integer, moved: Integer, told: Integer, n: Integer) -> tuple[Integer, ...]:
            length, symbol, whole, number = _first(code, bits << used, codes)
            fits = (used + keep.choose(whole, length)).is_("<=", WINDOW)
            place, step = _steps(code, symbol)
            place, step = direct.choose(code.integer(0), place), direct.choose(code.integer(1), step)
            place = keep.choose(place.is_("==", NOWHERE).choose(place, moved + place), NOWHERE)
            number = keep.choose(number, 0) & 0xFFFF
            first, second = number << 32 | place << 8 | NOWHERE << 16, number << 48 | place << 16
            both = n.is_("==", 0).choose(first, told & ~(255 << 16) | second)
            used, moved = fits.choose(used + whole, used), fits.choose(moved + step, moved)
            n = n + fits.to(I64)
            again = fits & n.is_("<", most) & used.is_("<", WINDOW) & step.is_("!=", ENDED)
            return again, used, moved, fits.choose(both, told), n

        used, moved, told, n = code.repeat(one_more, [code.integer(0)] * 4)
        moved = n.is_("==", 0).choose(code.integer(UNKNOWN), moved)
        code.store(told | moved << 24 | used, ahead, x)

    code.loop(2**WINDOW, window)
    code.build.ret_void()


def read_coefficients(module: ir.Module) -> ir.Function:
    """ "read coefficients"(state, blocks, places, count): of `count` blocks, the first of each as it is in the file.

    state: the address of the next byte, the last one that it may have, bits that were loaded, how many, whether there
    was a fault. blocks: of each, and of one more, the addresses of its coefficients, of what looks ahead for the first
    one and for the others, and of the codes of both. places: uint16 (256,).

    There is one loop for all codes of all blocks. Which of them ends a block no processor can foresee, and a branch
    that it takes in vain costs as much as two codes: so what is next is chosen, not gone to.
    """
    code = IntegerCode(module, "read coefficients", [POINTER, I64, POINTER, I64])
    state, first, places, count = code.arguments
    last, end = code.load(state, 1), first + count * BLOCK_BYTES

    def loaded(at: Integer, bits: Integer, n: Integer) -> tuple[Integer, Integer, Integer]:
        """At least 56 bits."""
        word = code.call("llvm.bswap.i64", code.load(code.pointer(at), kind=EIGHT).as_(I64))
        return (at + ((63 - n) >> 3)).least(last), bits | word >> n, n | 56

    def step(block: Integer, k: Integer, at: Integer, bits: Integer, n: Integer, fault: Integer, *now: Integer):
        here, ahead, others = now
        told = code.load(code.pointer(ahead), bits >> 64 - WINDOW)
        on = k + (told >> 24 & 255)

        def put(number: Integer, place: Integer) -> None:
            code.store(number.to(SHORT), code.pointer(here), code.load(places, place, kind=SHORT).to(I64))

        def known() -> tuple[Integer, ...]:
            put(told >> 32, k + (told >> 8 & 255))
            put(told >> 48, k + (told >> 16 & 255))
            return on, at, bits << (told & 63), n - (told & 63), fault

        def unknown() -> tuple[Integer, ...]:
            direct = k.is_("==", 0)
            codes = code.load_pointer(code.pointer(block), direct.choose(code.integer(3), 4))
            length, symbol, total, number = _first(code, bits, codes)
            place, step = _steps(code, symbol)
            put(number, k + direct.choose(code.integer(0), place))
            usual, taken = length.is_("<=", 16) & total.is_("<=", LONGEST), total.least(LONGEST)
            on = usual.choose(k + direct.choose(code.integer(1), step), OVERSHOT + 1)
            return on, *loaded(at, bits << taken, n - taken), fault | on - 1 & OVERSHOT

        on, at, bits, n, fault = code.either((on - 1 & OVERSHOT).is_("==", 0), known, unknown)
        ended, following = on.is_(">=", 64), block + BLOCK_BYTES
        next_here, next_ahead, next_others = (code.load(code.pointer(following), what) for what in range(3))
        return (
            *(ended.choose(following, block), ended.choose(code.integer(0), on), at, bits, n, fault),
            *(ended.choose(next_here, here), ended.choose(next_ahead, others), ended.choose(next_others, others)),
        )

    def two_steps(block: Integer, k: Integer, at: Integer, bits: Integer, n: Integer, *others: Integer):
        once = step(block, k, *loaded(at, bits, n), *others)
        results = code.either(once[0].is_("<", end), lambda: step(*once), lambda: once)
        return results[0].is_("<", end), *results

    begin = [first, code.integer(0), *(code.load(state, place) for place in (0, 2, 3, FAULT))]
    begin += [code.load(code.pointer(first), what) for what in range(3)]
    for place, result in zip((0, 2, 3, FAULT), code.repeat(two_steps, begin)[2:6], strict=True):
        code.store(result, state, place)
    code.build.ret_void()
    return code.function


def add_up(module: ir.Module, components: Sequence[int]) -> ir.Function:
    """ "add up"(coefficients, lasts): what was read of the first coefficients are changes from block to block.

    coefficients: int16 (blocks, BLOCK, 16), an MCU a lane; components: of each of its blocks. lasts: int32 (components,
    16), of each its last first coefficient. Where one has more than 16 bits, libjpeg keeps the last 16, too.
    """
    code = IntegerCode(module, "add up", [POINTER] * 2)
    coefficients, lasts = code.arguments
    nothing = code.everywhere(code.integer(0, INT))
    for component in sorted(set(components)):
        places = [index * BLOCK * LANES for index, each in enumerate(components) if each == component]
        changes = [code.load(coefficients, place, kind=SHORTS).to(INTS, signed=True) for place in places]
        own = functools.reduce(operator.add, changes)
        total = own
        for distance in (1, 2, 4, 8):
            lanes = [LANES + lane if lane < distance else lane - distance for lane in range(LANES)]
            total = total + code.shuffle(total, nothing, lanes)
        last = code.load(lasts, component * LANES, kind=INTS)
        now = last + total - own
        for place, change in zip(places, changes, strict=True):
            now = now + change
            code.store(now.to(SHORTS), coefficients, place)
        code.store(code.shuffle(now, now, [LANES - 1] * LANES), lasts, component * LANES)
    code.build.ret_void()
    return code.function
