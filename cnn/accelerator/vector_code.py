"""Writing functions of machine code that compute with vectors of numbers in memory."""

from collections.abc import Callable, Sequence

from llvmlite import ir

from cnn.accelerator.layout import LANES
from cnn.accelerator.machine_code import I64

BYTE, FLOAT = ir.IntType(8), ir.FloatType()
VECTOR, BYTES = ir.VectorType(FLOAT, LANES), ir.VectorType(BYTE, LANES)
ZERO = ir.Constant(VECTOR, [0.0] * LANES)


class Code:
    """A function in the making: LLVM's builder, with loops, and offsets into arrays of numbers."""

    def __init__(self, module: ir.Module, name: str, arguments: Sequence[ir.Type]):
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
        for argument in function.args:
            if isinstance(argument.type, ir.PointerType):  # what is written through one is never read through another
                argument.add_attribute("noalias")
        fma = f"llvm.fma.v{LANES}f32"
        self._fma = module.globals.get(fma) or ir.Function(module, ir.FunctionType(VECTOR, [VECTOR] * 3), fma)
        self.function, self.arguments = function, function.args
        self.build = ir.IRBuilder(function.append_basic_block())

    def loop(self, count: int | ir.Value, body: Callable, carried: Sequence[ir.Value] = ()) -> list[ir.Value]:
        """carried = body(i, *carried) for each i from 0; `count` is at least 1."""
        build = self.build
        before, start = build.block, build.append_basic_block()
        build.branch(start)
        build.position_at_end(start)
        i = build.phi(I64)
        i.add_incoming(I64(0), before)
        values = [build.phi(each.type) for each in carried]
        results = list(body(i, *values) or ())
        following = build.add(i, I64(1))
        i.add_incoming(following, build.block)
        for value, first, result in zip(values, carried, results, strict=True):
            value.add_incoming(first, before)
            value.add_incoming(result, build.block)
        end = build.append_basic_block()
        count = count if isinstance(count, ir.Value) else I64(count)
        build.cbranch(build.icmp_unsigned("<", following, count), start, end)
        build.position_at_end(end)
        return results

    def some(self, count: int, at_once: int, body: Callable[[ir.Value, int], None]) -> None:
        """body(first, many) until `count` are done, `at_once` of them and then the rest."""
        whole = count // at_once
        if whole:
            self.loop(whole, lambda i: body(self.times(i, at_once), at_once))
        if count % at_once:
            body(I64(whole * at_once), count % at_once)

    def sum(self, *terms: ir.Value | int) -> ir.Value:
        total = I64(sum(term for term in terms if isinstance(term, int)))
        for term in terms:
            if isinstance(term, ir.Value):
                total = self.build.add(total, term)
        return total

    def times(self, value: ir.Value, factor: int) -> ir.Value:
        return self.build.mul(value, I64(factor))

    def at(self, pointer: ir.Value, *offsets: ir.Value | int, kind: ir.Type = FLOAT) -> ir.Value:
        return self.build.gep(pointer, [self.sum(*offsets)], source_etype=kind)

    def load(self, pointer: ir.Value, *offsets: ir.Value | int, kind: ir.Type = VECTOR) -> ir.Value:
        """A number or a vector of them; offsets count numbers."""
        number = _number(kind)
        return self.build.load(self.at(pointer, *offsets, kind=number), typ=kind, align=_size(number))

    def store(self, value: ir.Value, pointer: ir.Value, *offsets: ir.Value | int) -> None:
        number = _number(value.type)
        self.build.store(value, self.at(pointer, *offsets, kind=number), align=_size(number))

    def everywhere(self, number: ir.Value) -> ir.Value:
        """A vector of one number."""
        undefined = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
        one = self.build.insert_element(undefined, number, I64(0))
        return self.shuffle(one, undefined, [0] * LANES)

    def shuffle(self, one: ir.Value, other: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """A vector of the numbers of two, `other`'s counted on from those of `one`."""
        return self.build.shuffle_vector(
            one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
        )

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, rounded once."""
        return self.build.call(self._fma, [a, b, c])

    def total(self, vector: ir.Value) -> ir.Value:
        """The sum of a vector's numbers, as a tree."""
        half = LANES // 2
        while half:
            other = self.shuffle(vector, vector, [(i + half) % LANES for i in range(LANES)])
            vector = self.build.fadd(vector, other)
            half //= 2
        return self.build.extract_element(vector, I64(0))


def _number(kind: ir.Type) -> ir.Type:
    return kind.element if isinstance(kind, ir.VectorType) else kind


def _size(number: ir.Type) -> int:
    """In bytes."""
    return number.width // 8 if isinstance(number, ir.IntType) else 4
