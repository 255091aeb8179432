"""JPEG files straight to small pictures: the pixels that libjpeg and Pillow give, in a fraction of the time.

For baseline files of three components, all in one scan, whose colours need not be enlarged. Others are left to those
libraries, and so is every file with a fault, whatever it is. The time goes into the codes that a file is made of: here
two are looked up at once, and where the scale needs the means of blocks alone, up to four are passed over.
"""

import functools
import threading
from dataclasses import dataclass

import numpy as np

from stages.lib import jpeg_code
from stages.lib.array import LANES
from stages.lib.decode import SCAN, segments
from stages.lib.huffman_code import BEHIND, BLOCK, BLOCK_STATE, FIRST, KEPT, NUMBERS_OF_CODES, PASSED, STATE, WINDOW
from stages.lib.jpeg_code import DOWN, WEIGHT_BITS
from stages.lib.machine_code import Call, MachineCode, address, aligned, run

DCT = 8  # samples a side of a block
# Each frequency's place, in the order of the file: diagonals, every other one upwards.
ZIGZAG = [at[0] * DCT + at[1] for at in sorted(np.ndindex(DCT, DCT), key=lambda at: (sum(at), at[sum(at) % 2 == 0]))]
PLACES = np.full(256, DCT**2 * LANES, np.uint16)  # beyond the last one, what is no coefficient
PLACES[: DCT**2] = np.array(ZIGZAG) * LANES
SAMPLINGS = {"420": (2, (0, 0, 0, 0, 1, 2)), "444": (1, (0, 1, 2))}  # blocks a side of an MCU, and their components
# Where colours have as many samples as brightness at a scale, or can have them.
LAYOUTS = {(sampling, scale) for sampling, (many, _) in SAMPLINGS.items() for scale in (1, 2, 4, 8) if many <= scale}
MOST_PIXELS = 2**20  # of a picture before it is resampled
MOST_SIDE = 2**12  # of it, in pixels
MOST_BYTES, MOST_OF_HEADER = 2**24, 2**16  # of a file, and before its scan
FRAME, CODES, QUANTIZATION, RESTARTS = 0xC0, 0xC4, 0xDB, 0xDD  # segments
END = b"\xff\xd9"


@dataclass(frozen=True)
class Plan:
    """What a file's header asks for."""

    unstuff: Call  # whose first two arguments are the file's
    read: Call
    resample: list[Call]
    kept: list[np.ndarray]  # what the calls have the addresses of


class Reader:
    """Machine code that makes pictures of `size` pixels a side, and the memory that it works in."""

    def __init__(self, size: int):
        self._size = size
        self._used = threading.Lock()  # one picture at a time: machine code does not hold Python's lock
        self._code = functools.cache(functools.partial(_compiled, size))  # as files ask for it
        most = max(len(components) for _, components in SAMPLINGS.values())
        self._scan = aligned((MOST_BYTES + BEHIND,), kind=np.uint8)
        self._begin = address(self._scan)
        self._found = aligned((2,), kind=np.int64)
        self._state = aligned((STATE,), kind=np.int64)
        self._lasts = aligned((3, LANES), kind=np.int32)
        self._coefficients = aligned((most, BLOCK, LANES), kind=np.int16)
        self._samples = aligned((3, DCT, DCT, LANES), kind=np.int32)
        self._at = aligned((LANES,), kind=np.int64)
        self._over = aligned((LANES,), kind=np.int32)
        self._picture = aligned((MOST_PIXELS + DOWN, 4), kind=np.uint8)
        self._lines = aligned((2 * MOST_PIXELS // size, size, 3), kind=np.uint8)
        self._pixels = aligned((size * size * 3 + DOWN,), kind=np.uint8)
        self._plan = functools.lru_cache(256)(self._planned)

    def read(self, jpeg: bytes, scan: int, sampling: str, scale: int) -> np.ndarray | None:
        """The picture, decoded at 1/scale and resampled, as uint8 (size, size, 3); None if it is not a usual one.

        scan: the place of the segment of that name, up to which there are no others than stages.lib.decode.PLAIN.
        """
        start = scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4])
        if (
            (sampling, scale) not in LAYOUTS
            or start > MOST_OF_HEADER
            or not start + len(END) <= len(jpeg) <= MOST_BYTES
        ):
            return None
        with self._used:
            return self._picture_of(jpeg, start, sampling, scale)

    def _picture_of(self, jpeg: bytes, start: int, sampling: str, scale: int) -> np.ndarray | None:
        try:
            plan = self._plan(jpeg[:start], sampling, scale)
        except (LookupError, ValueError):
            return None
        plan.unstuff.arguments[0] = address(np.frombuffer(jpeg, np.uint8)) + start
        plan.unstuff.arguments[1] = len(jpeg) - start
        run(plan.unstuff)
        length, taken = self._found.tolist()
        if jpeg[start + taken :] != END:
            return None
        self._state[:] = self._begin, self._begin + length + 8, 0, 0, 0
        run(plan.read)
        end, _, _, unused, fault = self._state.tolist()
        left = 8 * (length - (end - self._begin)) + unused
        if fault or not 0 <= left < 8:
            return None
        run(*plan.resample)
        return self._pixels[: self._size**2 * 3].reshape(self._size, self._size, 3).copy()

    def _planned(self, header: bytes, sampling: str, scale: int) -> Plan:
        height, width, tables = _tables(header, *SAMPLINGS[sampling])
        (side, blocks), many = _layout(sampling, scale), SAMPLINGS[sampling][0]
        down, across = (-(-length // (DCT * many)) for length in (height, width))
        row = side * across
        if (down + 1) * side * row > MOST_PIXELS:  # with the row behind the picture
            raise ValueError
        code = self._code(sampling, scale)
        resample, kept = self._resampling(code, -(-height // scale), -(-width // scale), row)

        factors = np.zeros((len(blocks), DCT**2), np.int32)
        lanes = np.zeros((LANES, len(blocks), BLOCK_STATE), np.int64)
        for index, (_, quantization, first, others) in enumerate(tables):
            factors[index, ZIGZAG] = np.frombuffer(quantization, np.uint8)
            most = KEPT if blocks[index][1] > 1 else PASSED
            used = [_ahead(code, first, FIRST), _ahead(code, others, most), _codes(first), _codes(others)]
            lanes[:, index, 0] = address(self._coefficients[index]) + np.arange(LANES) * self._coefficients.itemsize
            lanes[:, index, 1:] = [address(each) for each in used]
            kept += used
        lanes = np.append(lanes, lanes[0, 0])  # looked at, not used
        unstuff = code.call("unstuff", 0, 0, self._begin, address(self._found))
        files = map(address, (self._state, lanes, PLACES, factors))
        memory = (self._picture, self._coefficients, self._lasts, self._samples, self._at, self._over)
        read = code.call("read", *files, down * across, across, row, *map(address, memory))
        return Plan(unstuff, read, resample, [factors, lanes, *kept])

    def _resampling(self, code: MachineCode, rows: int, columns: int, row: int) -> tuple[list[Call], list[np.ndarray]]:
        """The calls for a picture with `row` pixels from row to row, and what they have the addresses of."""
        if max(rows, columns) > MOST_SIDE:
            raise ValueError
        starts, weights = _weights_across(columns, self._size)
        starts_down, weights_down = _weights(rows, self._size)
        fours, taps = weights.shape[1] // LANES, weights_down.shape[1]
        # What is behind a row, or the last one, is read as well, with a weight of 0.
        between = max((rows + taps) * 3 * self._size, 4 * row * self._size) + DOWN
        if (rows + taps) * row + 4 * fours > MOST_PIXELS or between > self._lines.size:
            raise ValueError
        kept = [starts, weights, starts_down, weights_down]
        given, between, out = map(address, (self._picture, self._lines, self._pixels))
        across, down = (address(starts), address(weights), fours), (address(starts_down), address(weights_down), taps)
        # As Pillow does: down first, if that takes away something, and more than twice as much as across.
        if rows - self._size > max(0, 2 * (columns - self._size)):
            steps = ("down", given, 4 * row, *down, between), ("across", between, row, self._size, *across, out)
        else:
            steps = ("across", given, row, rows, *across, between), ("down", between, 3 * self._size, *down, out)
        return [code.call(*step) for step in steps], kept


reader = functools.cache(Reader)  # the process's own


def _compiled(size: int, sampling: str, scale: int) -> MachineCode:
    return jpeg_code.compiled(size, *_layout(sampling, scale), SAMPLINGS[sampling][1])


def _layout(sampling: str, scale: int) -> tuple[int, list[tuple[int, int]]]:
    """Of an MCU: its pixels a side, and of each block where its samples begin, and how many they are a side."""
    (many, components), length = SAMPLINGS[sampling], DCT // scale
    side = many * length
    corners = [((down * side + right) * length, length) for down in range(many) for right in range(many)]
    return side, corners + [(component * side * side, side) for component in components[many * many :]]


def _tables(header: bytes, many: int, components: tuple[int, ...]) -> tuple[int, int, list]:
    """Height, width, and of each block its component, quantization, codes of its first coefficient and of the others.

    Raises LookupError or ValueError for what is not usual, as all that a Plan is made by does.
    """
    frames, quantization, codes = [], {}, {}
    for marker, at, end in segments(header):
        part = header[at + 4 : end]
        if marker == SCAN:
            break
        if marker == FRAME:
            frames.append(part)
        elif marker == RESTARTS and any(part):
            raise ValueError
        while marker == QUANTIZATION and part:
            if len(part) <= DCT**2 or part[0] > 3:  # of 16 bits, or none of the four that there can be
                raise ValueError
            quantization[part[0]], part = part[1 : DCT**2 + 1], part[DCT**2 + 1 :]
        while marker == CODES and part:
            length = 17 + sum(part[1:17])
            codes[part[0]], part = part[1:length], part[length:]
    (frame,), selectors = frames, part
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    if not height or not width:
        raise ValueError
    ids, samplings, chosen = frame[6::3], frame[7::3], frame[8::3]
    if frame[0] != 8 or samplings != bytes([17 * many, 17, 17]) or len(frame) != 15:
        raise ValueError
    if selectors[1:7:2] != ids or selectors[7:] != bytes([0, DCT**2 - 1, 0]):
        raise ValueError
    tables = []
    for component in components:
        selector = selectors[2 + 2 * component]
        first, others = codes[selector >> 4], codes[16 | selector & 15]
        if max(first[16:], default=0) > 15:  # which says more than a size
            raise ValueError
        tables.append((component, quantization[chosen[component]], first, others))
    return height, width, tables


@functools.lru_cache(64)
def _codes(counts_and_values: bytes) -> np.ndarray:
    """A table of codes as the machine code takes it. Raises ValueError where it is none."""
    counts, values = counts_and_values[:16], counts_and_values[16:]
    if len(values) != sum(counts):
        raise ValueError
    result = np.zeros(NUMBERS_OF_CODES, np.int32)
    limits, offsets = result[:16], result[16:33]
    code = seen = 0
    for shorter, count in enumerate(counts):
        offsets[shorter] = seen - code
        code, seen = code + count, seen + count
        if code >= 2 << shorter:  # none is made of ones alone
            raise ValueError
        limits[shorter] = code << 15 - shorter
        code *= 2
    result[33 : 33 + seen] = list(values)
    return result


@functools.lru_cache(64)
def _ahead(code: MachineCode, codes: bytes, most: int) -> np.ndarray:
    """What looks ahead for them, int64 (2**WINDOW,)."""
    table, ahead = _codes(codes), np.zeros(2**WINDOW, np.int64)
    run(code.call("look ahead", address(ahead), address(table), most))
    return ahead


@functools.lru_cache(256)
def _weights(length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """How Pillow makes `size` pixels of `length`: of each the first that counts, int64, and int32 (size, taps)."""
    scale = length / size
    support = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    behind = np.minimum((centres + support + 0.5).astype(np.int64), length)
    at = first[:, None] + np.arange((behind - first).max())
    weights = np.maximum(1 - np.abs((at - centres[:, None] + 0.5) * (1 / support)), 0) * (at < behind[:, None])
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # one after the other, as it adds them up
    return first, (0.5 + weights * 2**WEIGHT_BITS).astype(np.int32)


@functools.lru_cache(256)
def _weights_across(length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, a multiple of four weights, and each four times: for pixels of four bytes."""
    first, weights = _weights(length, size)
    return first, np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4))).repeat(4, axis=1)
