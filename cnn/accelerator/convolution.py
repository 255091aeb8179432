"""Machine code for a block's convolution, its maxima and its gradients, made by LLVM for the shapes at hand.

The layers of libraries fill a processor's vectors with channels, of which the article's network has 3 and
6. Here a vector is 16 neighbouring pooling windows, and a picture is folded (cnn.accelerator.layout): the pixels of
a window lie in planes of their own, so that the same pixel of 16 windows is one load. From 4x4 pixels a
window's four convolutions are summed in registers, and only the largest is written.

Every sum has an order of its own that does not depend on the processor: along channels and kernel for an output,
and for a kernel's gradient in 16 sums, side by side, that are added as a tree. Where a processor's vectors are shorter,
LLVM takes several for one. So the bits are the same wherever there is a fused multiply-add.

Layouts, all float32 unless said otherwise, with padded_area a multiple of 16, at least width * width:
a folded array is (2q, 2q, C, padded_area), and [P, R, c, i * width + j] is channel c of pixel (2qi + P, 2qj + R).
A block's output, (q, q, F, padded_area), has such planes as its first two axes: it is folded for the next block. A
window that begins in the last planes goes on in the first ones, a place further: an offset in memory. So the last row
and column of the last planes are no windows. They hold numbers without meaning, and their gradient has to be 0.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from llvmlite import ir

from cnn.accelerator import layout
from cnn.accelerator.machine_code import I64, POINTER, Call, MachineCode, processor
from cnn.accelerator.vector_code import BYTE, BYTES, FLOAT, LANES, VECTOR, ZERO, Code
from cnn.common.params import SCALE, pooled

WINDOW = [(u, t) for u in range(4) for t in range(4)]  # the pixels that a pooling window's convolutions see
POOL = [(a, b) for a in (0, 1) for b in (0, 1)]  # its convolutions, in the order in which pooling looks at them
TAPS = 9  # of a kernel
MAKING = Lock()  # the threads of a training ask for the same shapes, and LLVM is asked once
# Activations that never fall, one number at a time: act(max(x)) = max(act(x)).
MONOTONIC = {
    *("celu", "elu", "exponential", "hard_sigmoid", "hard_tanh", "leaky_relu", "linear", "log_sigmoid"),
    *("relu", "relu6", "selu", "sigmoid", "softplus", "softsign", "tanh"),
}


@dataclass(frozen=True)
class Shape:
    """Of a block: its picture is 2q x 2q planes of `channels`, each width x width; q is a power of 2."""

    q: int
    channels: int
    filters: int
    width: int
    side: int  # of what it gives: side x side windows
    pooled: bool = True  # what comes out is the largest of four convolutions; else all, a folded array of `filters`
    rectified: bool = False  # and not less than 0
    scale: float = 0.0  # of a picture that comes in as bytes; 0 for float32

    @property
    def padded_area(self) -> int:
        return layout.padded_area(self.width)

    @property
    def halo(self) -> int:
        """How many numbers before and after an array are read as well, and have to be finite."""
        return self.width + 1 + LANES

    @property
    def input_size(self) -> int:
        """Numbers of a picture that comes in."""
        return 4 * self.q**2 * self.channels * self.padded_area

    @property
    def convolved(self) -> int:
        """Numbers of a picture's convolutions, four a window."""
        return 4 * self.q**2 * self.filters * self.padded_area

    @property
    def windows(self) -> int:
        """Numbers of a picture that the block gives."""
        return self.convolved // 4

    @property
    def output_size(self) -> int:
        """Numbers of a picture that come out here."""
        return self.windows if self.pooled else self.convolved

    @property
    def kernel(self) -> int:
        return TAPS * self.channels * self.filters

    @property
    def variables(self) -> int:
        """Numbers of kernel and bias."""
        return self.kernel + self.filters

    @property
    def scratch(self) -> int:
        """Numbers that the machine code works in: the gradients of a picture's convolutions, and it as float32."""
        return self.convolved + self.input_size + 3 * self.halo


def shapes(size: int, depth: int, filters: int, activation: str) -> list[Shape]:
    """Of the blocks of the network (cnn.model.build) for pictures of size x size; filters: of the first block."""
    q, width = layout.of_network(size, depth)
    result, side, channels, scale = [], size, 3, SCALE
    for _ in range(depth):
        side = pooled(side)
        result.append(Shape(q, channels, filters, width, side, activation in MONOTONIC, activation == "relu", scale))
        q, channels, filters, scale = q // 2, filters, 2 * filters, 0.0
    return result


@functools.cache
def _of_shape(shape: Shape) -> "Convolution":
    return Convolution(shape)


def of_shape(shape: Shape) -> "Convolution":
    """The machine code for a shape, made once, with what the processor has."""
    with MAKING:
        return _of_shape(shape)


class Convolution:
    """The machine code for one shape, as calls with numbers and addresses."""

    def __init__(self, shape: Shape, features: dict[str, bool] | None = None):
        """features: as MachineCode takes them."""
        # As many filters as the registers hold sums of, so that a pixel is loaded once for them.
        at_once = 2 if processor(features).get("avx512f") else 1
        module = ir.Module("convolution")
        _forward(module, shape, at_once)
        _backward(module, shape, at_once)
        if shape.q == 1:
            _order(module, shape, "unfold", lambda folded, plain: (folded, plain))
            _order(module, shape, "refold", lambda folded, plain: (plain, folded))
        self._code = MachineCode(module, features)

    def forward(self, n: int, *arrays: int) -> Call:
        """Of n pictures what comes out, and which of the four convolutions was the largest, a byte each.

        arrays: the addresses of pictures, kernel (3, 3, channels, filters), bias (filters,), output, argmax, scratch,
        which has Shape.scratch numbers, of which the first Shape.halo are 0.
        """
        return self._code.call("forward", n, *arrays)

    def backward(self, n: int, apart: int, *arrays: int) -> Call:
        """From the gradient of `output` that of kernel and bias, for each picture, and that of pictures of float32.

        apart: numbers from a picture's gradient of kernel and bias to the next one's. arrays: the addresses of
        pictures, flipped, output, argmax, grad_output, grad_variables, grad_pictures (0 for pictures of bytes),
        scratch; flipped: the kernel, both ways, as (3, 3, filters, channels).
        """
        return self._code.call("backward", n, apart, *arrays)

    def order(self, name: str, n: int, folded: int, plain: int) -> Call:
        """For q = 1, n pictures' windows as (side, side, filters): "unfold", or the other way: "refold"."""
        return self._code.call(name, n, folded, plain)


def _forward(module: ir.Module, shape: Shape, at_once: int) -> None:
    code = Code(module, "forward", [I64, *[POINTER] * 6])
    n, pictures, kernel, bias, output, argmax, scratch = code.arguments

    def of_picture(i: ir.Value) -> None:
        source = _as_float(code, shape, pictures, i, scratch)
        start = code.times(i, shape.output_size)

        def largest(p: ir.Value, r: ir.Value, places: ir.Value, f: ir.Value, sums: list[ir.Value]) -> None:
            best, which = sums[0], ir.Constant(BYTES, [0] * LANES)
            for k in (1, 2, 3):
                larger = code.build.fcmp_ordered(">", sums[k], best)
                best = code.build.select(larger, sums[k], best)
                which = code.build.select(larger, ir.Constant(BYTES, [k] * LANES), which)
            best = code.build.fadd(best, code.everywhere(code.load(bias, f, kind=FLOAT)))
            if shape.rectified:  # what is not a number stays so
                best = code.build.select(code.build.fcmp_ordered("<", best, ZERO), ZERO, best)
            offset = _window(code, shape, p, r, f, places)
            code.store(best, output, start, offset)
            code.store(which, argmax, start, offset)

        def all_four(p: ir.Value, r: ir.Value, places: ir.Value, f: ir.Value, sums: list[ir.Value]) -> None:
            number = code.everywhere(code.load(bias, f, kind=FLOAT))
            sums = [code.build.fadd(each, number) for each in sums]
            _store_pool(code, shape, shape.filters, p, r, f, places, sums, output, start)

        channels = shape.channels, shape.filters
        _convolve(code, shape, source, kernel, channels, 0, at_once, largest if shape.pooled else all_four)

    code.loop(n, of_picture)
    code.build.ret_void()


def _backward(module: ir.Module, shape: Shape, at_once: int) -> None:
    code = Code(module, "backward", [I64, I64, *[POINTER] * 8])
    n, apart, pictures, flipped, output, argmax, grad_output, grad_variables, grad_pictures, scratch = code.arguments

    def of_picture(i: ir.Value) -> None:
        source = _as_float(code, shape, pictures, i, scratch)
        start = code.times(i, shape.output_size)
        gradient = code.at(grad_output, start)
        if shape.pooled:
            # Behind numbers that stay 0, whichever block works here: those before the first plane are read as well.
            arrays = code.at(output, start), code.at(argmax, start, kind=BYTE), gradient
            gradient = code.at(scratch, shape.halo)
            _spread(code, shape, *arrays, gradient)
        variables = code.at(grad_variables, code.build.mul(i, apart))
        _kernel_gradient(code, shape, source, gradient, variables, at_once)
        _bias_gradient(code, shape, gradient, code.at(variables, shape.kernel))
        if shape.scale:
            return
        start = code.times(i, shape.input_size)

        def all_four(p: ir.Value, r: ir.Value, places: ir.Value, c: ir.Value, sums: list[ir.Value]) -> None:
            _store_pool(code, shape, shape.channels, p, r, c, places, sums, grad_pictures, start)

        # A pixel's gradient comes from the convolutions that begin up to two pixels before it.
        _convolve(code, shape, gradient, flipped, (shape.filters, shape.channels), -2, at_once, all_four)

    code.loop(n, of_picture)
    code.build.ret_void()


def _as_float(code: Code, shape: Shape, pictures: ir.Value, i: ir.Value, scratch: ir.Value) -> ir.Value:
    """Where picture i lies as float32; a picture of bytes is scaled into `scratch` first."""
    start = code.times(i, shape.input_size)
    if not shape.scale:
        return code.at(pictures, start)
    target = code.at(scratch, 2 * shape.halo + shape.convolved)
    scale = ir.Constant(VECTOR, [shape.scale] * LANES)

    def of_vector(v: ir.Value) -> None:
        places = code.times(v, LANES)
        pixels = code.build.uitofp(code.load(pictures, start, places, kind=BYTES), VECTOR)
        code.store(code.build.fmul(pixels, scale), target, places)

    code.loop(shape.input_size // LANES, of_vector)
    return target


def _sets(code: Code, shape: Shape, body: Callable, carried: Sequence[ir.Value] = ()) -> list[ir.Value]:
    """carried = body(p, r, *carried) for each of the q x q sets of windows."""
    return code.loop(shape.q, lambda p, *sums: code.loop(shape.q, lambda r, *sums: body(p, r, *sums), sums), carried)


def _vectors(code: Code, shape: Shape, body: Callable, carried: Sequence[ir.Value] = ()) -> list[ir.Value]:
    """carried = body(places, *carried) for each vector of a plane."""
    return code.loop(shape.padded_area // LANES, lambda v, *sums: body(code.times(v, LANES), *sums), carried)


def _window(code: Code, shape: Shape, p: ir.Value, r: ir.Value, f: ir.Value, places: ir.Value) -> ir.Value:
    """Offset of a filter of the windows of set (p, r)."""
    number = code.sum(code.times(p, shape.q), r)
    return code.sum(code.times(number, shape.filters * shape.padded_area), code.times(f, shape.padded_area), places)


def _pixels(
    code: Code, shape: Shape, channels: int, p: ir.Value, r: ir.Value, steps: Iterable[int]
) -> tuple[list[ir.Value], list[ir.Value]]:
    """Offsets in a folded array, by rows and by columns, `steps` pixels after the first of set (p, r)'s windows."""
    plane = channels * shape.padded_area

    def offsets(first: ir.Value, apart: int, further: int) -> list[ir.Value]:
        result = []
        for step in steps:
            number = code.sum(code.times(first, 2), step)
            within = code.build.and_(number, I64(2 * shape.q - 1))
            carry = code.build.ashr(number, I64((2 * shape.q).bit_length() - 1))
            result.append(code.sum(code.times(within, apart), code.times(carry, further)))
        return result

    return offsets(p, 2 * shape.q * plane, shape.width), offsets(r, plane, 1)


def _of_pool(
    code: Code, shape: Shape, channels: int, p: ir.Value, r: ir.Value, c: ir.Value, places: ir.Value
) -> list[ir.Value]:
    """Offsets of a channel of the four pixels that are the windows of set (p, r)."""
    rows, columns = _pixels(code, shape, channels, p, r, (0, 1))
    return [code.sum(rows[a], columns[b], code.times(c, shape.padded_area), places) for a, b in POOL]


def _store_pool(
    code: Code,
    shape: Shape,
    channels: int,
    p: ir.Value,
    r: ir.Value,
    c: ir.Value,
    places: ir.Value,
    four: list[ir.Value],
    target: ir.Value,
    start: ir.Value | int = 0,
) -> None:
    """Store the four pixels' vectors where `_of_pool` says, counted from `start`."""
    for offset, each in zip(_of_pool(code, shape, channels, p, r, c, places), four, strict=True):
        code.store(each, target, start, offset)


def _taps(u: int, t: int) -> list[tuple[int, int]]:
    """Which of the four convolutions see pixel (u, t) of a window, and with which tap of the kernel."""
    return [(k, (u - a) * 3 + t - b) for k, (a, b) in enumerate(POOL) if 0 <= u - a < 3 and 0 <= t - b < 3]


def _convolve(
    code: Code,
    shape: Shape,
    source: ir.Value,
    kernel: ir.Value,
    channels: tuple[int, int],
    start: int,
    at_once: int,
    store: Callable[..., None],
) -> None:
    """store(p, r, places, filter, sums) of each vector of windows and each filter the four convolutions.

    kernel: (3, 3, *channels); start: at which pixel, counted from a window's first, the 4x4 begin that it sees.
    """
    inputs, outputs = channels

    def of_set(p: ir.Value, r: ir.Value) -> None:
        rows, columns = _pixels(code, shape, inputs, p, r, range(start, start + 4))

        def of_vector(places: ir.Value) -> None:
            def of_filters(first: ir.Value, many: int) -> None:
                def of_channel(c: ir.Value, *sums: ir.Value) -> list[ir.Value]:
                    sums = list(sums)
                    base = code.sum(code.times(c, shape.padded_area), places)
                    for u, t in WINDOW:
                        pixels = code.load(source, base, rows[u], columns[t])
                        for f in range(many):
                            for k, tap in _taps(u, t):
                                weight = code.load(
                                    kernel, code.times(c, outputs), first, tap * inputs * outputs + f, kind=FLOAT
                                )
                                sums[4 * f + k] = code.fma(code.everywhere(weight), pixels, sums[4 * f + k])
                    return sums

                sums = code.loop(inputs, of_channel, [ZERO] * (4 * many))
                for f in range(many):
                    store(p, r, places, code.sum(first, f), sums[4 * f : 4 * f + 4])

            code.some(outputs, at_once, of_filters)

        _vectors(code, shape, of_vector)

    _sets(code, shape, of_set)


def _spread(
    code: Code, shape: Shape, output: ir.Value, argmax: ir.Value, grad_output: ir.Value, gradient: ir.Value
) -> None:
    """A window's gradient to that of its four convolutions that was the largest, and 0 to the others."""

    def of_set(p: ir.Value, r: ir.Value) -> None:
        def of_filter(f: ir.Value) -> None:
            def of_vector(places: ir.Value) -> None:
                offset = _window(code, shape, p, r, f, places)
                upstream = code.load(grad_output, offset)
                if shape.rectified:
                    low = code.build.fcmp_ordered("<=", code.load(output, offset), ZERO)
                    upstream = code.build.select(low, ZERO, upstream)
                which = code.load(argmax, offset, kind=BYTES)
                numbers = [ir.Constant(BYTES, [k] * LANES) for k in range(4)]
                mine = [code.build.icmp_unsigned("==", which, number) for number in numbers]
                four = [code.build.select(each, upstream, ZERO) for each in mine]
                _store_pool(code, shape, shape.filters, p, r, f, places, four, gradient)

            _vectors(code, shape, of_vector)

        code.loop(shape.filters, of_filter)

    _sets(code, shape, of_set)


def _kernel_gradient(
    code: Code, shape: Shape, source: ir.Value, gradient: ir.Value, of_kernel: ir.Value, at_once: int
) -> None:
    """(3, 3, channels, filters) from a picture, and from the gradient of its convolutions, folded."""

    def of_filters(first: ir.Value, many: int) -> None:
        def of_channel(c: ir.Value) -> None:
            def of_set(p: ir.Value, r: ir.Value, *sums: ir.Value) -> list[ir.Value]:
                rows, columns = _pixels(code, shape, shape.channels, p, r, range(4))

                def of_vector(places: ir.Value, *sums: ir.Value) -> list[ir.Value]:
                    sums = list(sums)
                    filters = [code.sum(first, f) for f in range(many)]
                    offsets = [_of_pool(code, shape, shape.filters, p, r, f, places) for f in filters]
                    four = [[code.load(gradient, offset) for offset in each] for each in offsets]
                    base = code.sum(code.times(c, shape.padded_area), places)
                    for u, t in WINDOW:
                        pixels = code.load(source, base, rows[u], columns[t])
                        for f in range(many):
                            for k, tap in _taps(u, t):
                                sums[TAPS * f + tap] = code.fma(four[f][k], pixels, sums[TAPS * f + tap])
                    return sums

                return _vectors(code, shape, of_vector, sums)

            for number, vector in enumerate(_sets(code, shape, of_set, [ZERO] * (TAPS * many))):
                f, tap = divmod(number, TAPS)
                offset = code.sum(code.times(c, shape.filters), first, tap * shape.channels * shape.filters + f)
                code.store(code.total(vector), of_kernel, offset)

        code.loop(shape.channels, of_channel)

    code.some(shape.filters, at_once, of_filters)


def _bias_gradient(code: Code, shape: Shape, gradient: ir.Value, of_bias: ir.Value) -> None:
    def of_filter(f: ir.Value) -> None:
        def of_set(p: ir.Value, r: ir.Value, total: ir.Value) -> list[ir.Value]:
            def of_vector(places: ir.Value, total: ir.Value) -> list[ir.Value]:
                offsets = _of_pool(code, shape, shape.filters, p, r, f, places)
                a, b, c, d = (code.load(gradient, offset) for offset in offsets)
                add = code.build.fadd
                return [add(total, add(add(a, b), add(c, d)))]

            return _vectors(code, shape, of_vector, [total])

        (total,) = _sets(code, shape, of_set, [ZERO])
        code.store(code.total(total), of_bias, f)

    code.loop(shape.filters, of_filter)


def _order(module: ir.Module, shape: Shape, name: str, direction: Callable) -> None:
    """Copy the windows of a block with q = 1, (filters, places), to the order of the plain layers, or back."""
    code = Code(module, name, [I64, POINTER, POINTER])
    n, folded, plain = code.arguments

    def of_picture(i: ir.Value) -> None:
        def of_row(y: ir.Value) -> None:
            def of_column(x: ir.Value) -> None:
                def of_filter(f: ir.Value) -> None:
                    place = code.sum(code.times(f, shape.padded_area), code.times(y, shape.width), x)
                    inside = code.sum(code.times(code.sum(code.times(y, shape.side), x), shape.filters), f)
                    source, target = direction(
                        code.at(folded, code.times(i, shape.windows), place),
                        code.at(plain, code.times(i, shape.side**2 * shape.filters), inside),
                    )
                    code.store(code.load(source, kind=FLOAT), target)

                code.loop(shape.filters, of_filter)

            code.loop(shape.side, of_column)

        code.loop(shape.side, of_row)

    code.loop(n, of_picture)
    code.build.ret_void()
