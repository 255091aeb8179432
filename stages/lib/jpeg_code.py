"""Machine code that makes small pictures of JPEG files.

The numbers are those of libjpeg (its jidctint.c, jidctred.c and jdcolor.c) and of Pillow (its Resample.c), so that the
same pixels come out to the last bit. The order is another one: 16 MCUs, pieces of the picture whose blocks follow each
other in the file, are read, and then transformed side by side, each in a lane of a vector.
"""

from collections.abc import Sequence

from llvmlite import ir

from stages.lib import huffman_code
from stages.lib.huffman_code import BLOCK, FAULT
from stages.lib.integer_code import I64, INT, INTS, SHORT, SHORTS, Integer, IntegerCode
from stages.lib.machine_code import POINTER, MachineCode
from stages.lib.vector_code import BYTES, LANES

WEIGHT_BITS = 22  # after the point
DOWN = 64  # bytes of a line that are computed at once
KEPT_BITS = 2  # after the point, of what is kept between down and across
HELD_BITS = 15  # of numbers that libjpeg's vectors hold, which have 16, and of which it adds up two


def _transform_8(x: dict[int, Integer]) -> tuple[list[Integer], int]:
    """Eight numbers by eight frequencies, and how many bits too many they have: jpeg_idct_islow."""
    shared = (x[2] + x[6]) * 4433
    c, d = shared - x[6] * 15137, shared + x[2] * 6270
    a, b = (x[0] + x[4]) << 13, (x[0] - x[4]) << 13
    even = [a + d, b + c, b - c, a - d]
    z = (x[7] + x[3] + x[5] + x[1]) * 9633
    z1, z2 = (x[7] + x[1]) * -7373, (x[5] + x[3]) * -20995
    z3, z4 = z - (x[7] + x[3]) * 16069, z - (x[5] + x[1]) * 3196
    odd = [x[1] * 12299 + z1 + z4, x[3] * 25172 + z2 + z3, x[5] * 16819 + z2 + z4, x[7] * 2446 + z1 + z3]
    pairs = list(zip(even, odd, strict=True))
    return [a + b for a, b in pairs] + [a - b for a, b in reversed(pairs)], 13


def _transform_4(x: dict[int, Integer]) -> tuple[list[Integer], int]:
    """Four, without x[4]: jpeg_idct_4x4."""
    a, b = x[0] << 14, x[2] * 15137 - x[6] * 6270
    even = [a + b, a - b]
    odd = [
        x[1] * 20995 + x[3] * 7373 - x[5] * 4926 - x[7] * 4176,
        x[1] * 8697 - x[3] * 17799 + x[5] * 11893 - x[7] * 1730,
    ]
    return [even[0] + odd[0], even[1] + odd[1], even[1] - odd[1], even[0] - odd[0]], 14


def _transform_2(x: dict[int, Integer]) -> tuple[list[Integer], int]:
    """Two, without x[2], x[4] and x[6]: jpeg_idct_2x2."""
    even, odd = x[0] << 15, x[1] * 29692 - x[3] * 10426 + x[5] * 6967 - x[7] * 5906
    return [even + odd, even - odd], 15


TRANSFORMS = {8: _transform_8, 4: _transform_4, 2: _transform_2}
USED = {8: range(8), 4: (0, 1, 2, 3, 5, 6, 7), 2: (0, 1, 3, 5, 7)}  # the frequencies


def _transform(module: ir.Module, size: int) -> None:
    """ "transform <size>"(coefficients, factors, samples, row, over): size x size samples of a block, 16 side by side.

    factors: int32 (64,), what the coefficients are multiples of; samples: vectors of int32, `row` of them a row. What
    has no place in HELD_BITS sets a bit above these in the vector `over`.
    """
    code = IntegerCode(module, f"transform {size}", [POINTER, POINTER, POINTER, I64, POINTER])
    coefficients, factors, samples, row, over = code.arguments

    def coefficient(place: Integer) -> Integer:
        number = code.load(coefficients, place * LANES, kind=SHORTS).to(INTS, signed=True)
        return number * code.everywhere(code.load(factors, place, kind=INT))

    def bounded(sample: Integer) -> Integer:
        """Beyond 10 bits, a sample is not bounded everywhere, but begins anew."""
        return sample + 2**9 << HELD_BITS - 10

    seen = code.load(over, kind=INTS)
    if size == 1:
        sample = coefficient(code.integer(0)).rounded(3)
        code.store((sample + 128).pixel(), samples)
        seen = seen | bounded(sample)
    else:
        work = code.build.alloca(INTS, size=64)
        work.align = 64

        def down(i: Integer, seen: Integer) -> list[Integer]:
            if size == 4:
                i = i + i.is_(">=", 4).to(I64)
            if size == 2:
                i = i.is_("==", 0).choose(i, i * 2 - 1)
            x = {k: coefficient(i + 8 * k) for k in USED[size]}
            numbers, bits = TRANSFORMS[size](x)
            kept = [number.rounded(bits - KEPT_BITS) for number in numbers]
            for k, number in enumerate(kept):
                code.store(number, work, (i + 8 * k) * LANES)
            for number in (*x.values(), *kept):
                seen = seen | number + 2 ** (HELD_BITS - 1)
            return [seen]

        def across(k: Integer, seen: Integer) -> list[Integer]:
            x = {i: code.load(work, k * (8 * LANES), i * LANES, kind=INTS) for i in USED[size]}
            numbers, bits = TRANSFORMS[size](x)
            for i, number in enumerate(numbers):
                sample = number.rounded(bits + KEPT_BITS + 3)
                code.store((sample + 128).pixel(), samples, (k * row + i) * LANES)
                seen = seen | bounded(sample)
            return [seen]

        (seen,) = code.loop(len(USED[size]), down, [seen])
        (seen,) = code.loop(size, across, [seen])
    code.store(seen, over)
    code.build.ret_void()


def _colours(module: ir.Module, side: int) -> None:
    """ "colours <side>"(samples, at, picture, row): the pixels of 16 MCUs, each RGB and a byte more, to their places.

    samples: int32 (3, side, side, 16), brightness and two colours; at: where in `picture`, in pixels, each MCU begins.
    """
    code = IntegerCode(module, f"colours {side}", [POINTER, POINTER, POINTER, I64])
    samples, at, picture, row = code.arguments

    def line(y: Integer) -> None:
        pixels = []
        for x in range(side):
            light, blue, red = (
                code.load(samples, y * (side * LANES), (colour * side * side + x) * LANES, kind=INTS)
                for colour in range(3)
            )
            blue, red = blue - 128, red - 128
            r = (light + (red * 91881).rounded(16)).pixel()
            g = (light + (blue * -22554 + red * -46802).rounded(16)).pixel()
            b = (light + (blue * 116130).rounded(16)).pixel()
            pixels.append(r | g << 8 | b << 16)
        # Numbers of a vector belong to 16 MCUs. Shuffled as cards are, the pixels of one MCU follow each other.
        for _ in range(side.bit_length() - 1):
            halves = zip(pixels[: side // 2], pixels[side // 2 :], strict=True)
            pixels = [code.shuffle(*pair, part) for pair in halves for part in _SHUFFLED]
        for lane in range(LANES):
            run = range(lane * side % LANES, lane * side % LANES + side)
            vector = pixels[lane * side // LANES]
            code.store(code.shuffle(vector, vector, run), picture, code.load(at, lane) + y * row)

    code.loop(side, line)
    code.build.ret_void()


_SHUFFLED = [[half + i // 2 + LANES * (i % 2) for i in range(LANES)] for half in (0, LANES // 2)]


def _read(module: ir.Module, side: int, blocks: Sequence[tuple[int, int]], components: Sequence[int]) -> None:
    """ "read"(state, lanes, places, factors, mcus, across, row, picture, coefficients, lasts, samples, at, over).

    Its MCUs have side x side pixels, and there are `across` in a row; `picture` has `row` pixels a row. blocks: of each
    of an MCU's blocks where its first sample is, and how many it has a side; components: of each. lanes: int64
    (16, blocks, BLOCK_STATE), as "read coefficients" takes them, and one more; factors: int32 (blocks, 64).
    """
    read_coefficients, add_up = huffman_code.read_coefficients(module), huffman_code.add_up(module, components)
    code = IntegerCode(module, "read", [POINTER, I64, POINTER, POINTER, I64, I64, I64, *[POINTER] * 6])
    state, lanes, places, factors, mcus, across, row, picture, coefficients, lasts, samples, at, over = code.arguments
    none, nothing = (code.everywhere(code.integer(0, kind)) for kind in (SHORT, INT))
    code.store(nothing, over)
    for component in range(3):
        code.store(nothing, lasts, component * LANES)

    def group(number: Integer) -> None:
        first = number * LANES

        def place(lane: Integer) -> None:
            mcu = (first + lane).least(mcus)  # lanes that no MCU is left for give pixels behind the picture
            down = mcu // across
            code.store((down * row + (mcu - down * across)) * side, at, lane)

        code.loop(LANES, place)
        code.loop(len(blocks) * BLOCK, lambda i: code.store(none, coefficients, i * LANES))
        count = (mcus - first).least(LANES) * len(blocks)
        code.build.call(read_coefficients, [state, lanes.value, places, count.value])
        code.build.call(add_up, [coefficients, lasts])
        for index, (start, length) in enumerate(blocks):
            block = code.at(coefficients, index * BLOCK * LANES, kind=SHORT), code.at(factors, 64 * index, kind=INT)
            to = code.at(samples, start * LANES, kind=INT)
            code.build.call(module.get_global(f"transform {length}"), [*block, to, I64(side), over])
        code.build.call(module.get_global(f"colours {side}"), [samples, at, picture, row.value])

    code.loop((mcus + (LANES - 1)) // LANES, group)
    seen = code.load(over, kind=INTS) >> HELD_BITS
    for distance in (8, 4, 2, 1):
        seen = seen | code.shuffle(seen, seen, [(lane + distance) % LANES for lane in range(LANES)])
    code.store(code.load(state, FAULT) | code.first(seen).to(I64), state, FAULT)
    code.build.ret_void()


def _halves(width: int) -> list[list[int]]:
    """Lanes of two vectors: the first halves, `width` long, of what they are made of, and the second ones."""
    starts = range(0, 2 * LANES, 2 * width)
    return [[start + half + lane for start in starts for lane in range(width)] for half in (0, width)]


def _bytes(code: IntegerCode, pointer: ir.Value, *offsets: Integer | int) -> Integer:
    return code.load(pointer, *offsets, kind=BYTES).to(INTS)


def _across(module: ir.Module, size: int) -> None:
    """ "across"(given, row, rows, starts, weights, fours, out): Pillow's resampling of each row to `size` pixels.

    Each is the sum of those from starts[i] on, times weights[i]. given: four bytes a pixel, `row` pixels a row; out:
    uint8 (rows, size, 3). starts: int64; weights: int32 (size, fours, 4, 4) of WEIGHT_BITS, each four times, for the
    bytes of a pixel.
    """
    code = IntegerCode(module, "across", [POINTER, I64, I64, POINTER, POINTER, I64, POINTER])
    given, row, rows, starts, weights, fours, out = code.arguments
    nothing = code.everywhere(code.integer(0, INT))

    def line(r: Integer) -> None:
        def part(first: Integer, many: int) -> None:
            each = [first + min(n, many - 1) for n in range(4)]
            froms = [(r * row + code.load(starts, j)) * 4 for j in each]

            def add(four: Integer, *totals: Integer) -> list[Integer]:
                factors = [code.load(weights, (j * fours + four) * LANES, kind=INTS) for j in each]
                found = [_bytes(code, given, start, four * LANES) for start in froms]
                return [total + a * b for total, a, b in zip(totals, factors, found, strict=True)]

            totals = code.loop(fours, add, [nothing] * 4)
            # Four pixels, and of each four sums of its colours, in lanes that follow each other.
            for width in (8, 4):
                pairs = zip(totals[0::2], totals[1::2], strict=True)
                halves = [[code.shuffle(*pair, part) for part in _halves(width)] for pair in pairs]
                totals = [one + other for one, other in halves]
            pixels = totals[0].rounded(WEIGHT_BITS).to(BYTES)
            # What is more than `many` is written again by those that come after.
            code.store(code.shuffle(pixels, pixels, _THREES), out, r * (3 * size), first * 3)

        code.some(size, 4, part)

    code.loop(rows, line)
    code.build.ret_void()


def _down(module: ir.Module, size: int) -> None:
    """ "down"(given, line, starts, weights, taps, out): Pillow's resampling of lines of bytes to `size` lines.

    weights: int32 (size, taps); starts: int64. What is behind a line, up to DOWN bytes, is written as well.
    """
    code = IntegerCode(module, "down", [POINTER, I64, POINTER, POINTER, I64, POINTER])
    given, line, starts, weights, taps, out = code.arguments
    nothing = code.everywhere(code.integer(0, INT))
    at_once = range(0, DOWN, LANES)

    def each(i: Integer) -> None:
        start = code.load(starts, i) * line

        def part(number: Integer) -> None:
            def add(tap: Integer, *totals: Integer) -> list[Integer]:
                factor = code.everywhere(code.load(weights, i * taps + tap, kind=INT))
                here = start + tap * line + number * DOWN
                return [total + _bytes(code, given, here, n) * factor for n, total in zip(at_once, totals, strict=True)]

            for n, total in zip(at_once, code.loop(taps, add, [nothing] * len(at_once)), strict=True):
                code.store(total.rounded(WEIGHT_BITS).to(BYTES), out, i * line, number * DOWN + n)

        code.loop((line + (DOWN - 1)) // DOWN, part)

    code.loop(size, each)
    code.build.ret_void()


_THREES = [4 * pixel + colour for pixel in range(4) for colour in range(3)]


def compiled(size: int, side: int, blocks: Sequence[tuple[int, int]], components: Sequence[int]) -> MachineCode:
    """The functions above, for pictures whose MCUs are as `_read` has them."""
    module = ir.Module("jpeg")
    huffman_code.unstuff(module)
    huffman_code.look_ahead(module)
    for length in sorted({length for _, length in blocks}):
        _transform(module, length)
    _colours(module, side)
    _read(module, side, blocks, components)
    _across(module, size)
    _down(module, size)
    return MachineCode(module)
