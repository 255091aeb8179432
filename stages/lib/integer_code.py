"""Writing functions of machine code that compute with whole numbers, one at a time or a vector of them."""

from collections.abc import Callable, Sequence

from llvmlite import ir

from stages.lib.machine_code import I64
from stages.lib.vector_code import LANES, Code

SHORT, INT = ir.IntType(16), ir.IntType(32)
SHORTS, INTS = ir.VectorType(SHORT, LANES), ir.VectorType(INT, LANES)


class Integer:
    """A number in the making, or a vector of them. Results keep their last bits; comparisons and >> are unsigned."""

    def __init__(self, build: ir.IRBuilder, value: ir.Value):
        self.build, self.value, self.kind = build, value, value.type

    def _constant(self, number: int) -> ir.Constant:
        return ir.Constant(self.kind, [number] * self.kind.count if isinstance(self.kind, ir.VectorType) else number)

    def _value(self, other: "Integer | int") -> ir.Value:
        return other.value if isinstance(other, Integer) else self._constant(other)

    def _with(self, operation: Callable, other: "Integer | int") -> "Integer":
        return Integer(self.build, operation(self.value, self._value(other)))

    def __add__(self, other: "Integer | int") -> "Integer":
        return self._with(self.build.add, other)

    def __sub__(self, other: "Integer | int") -> "Integer":
        return self._with(self.build.sub, other)

    def __rsub__(self, other: int) -> "Integer":
        return Integer(self.build, self.build.sub(self._constant(other), self.value))

    def __mul__(self, other: "Integer | int") -> "Integer":
        return self._with(self.build.mul, other)

    def __floordiv__(self, other: "Integer | int") -> "Integer":
        return self._with(self.build.udiv, other)

    def __and__(self, other: "Integer | int") -> "Integer":
        return self._with(self.build.and_, other)

    def __or__(self, other: "Integer | int") -> "Integer":
        return self._with(self.build.or_, other)

    def __lshift__(self, bits: "Integer | int") -> "Integer":
        return self._with(self.build.shl, bits)

    def __rshift__(self, bits: "Integer | int") -> "Integer":
        return self._with(self.build.lshr, bits)

    def is_(self, comparison: str, other: "Integer | int") -> "Integer":
        """One bit for each comparison, one of == != < <= > >=."""
        return Integer(self.build, self.build.icmp_unsigned(comparison, self.value, self._value(other)))

    def choose(self, yes: "Integer", no: "Integer | int") -> "Integer":
        """`yes` where this, of one bit, is 1."""
        return Integer(self.build, self.build.select(self.value, yes.value, yes._value(no)))

    def least(self, other: "Integer | int") -> "Integer":
        return self.is_("<", other).choose(self, other)

    def to(self, kind: ir.Type, signed: bool = False) -> "Integer":
        """With fewer bits, or with more, which are 0, or the sign's."""
        here, there = (getattr(each, "element", each).width for each in (self.kind, kind))
        change = self.build.trunc if there < here else self.build.sext if signed else self.build.zext
        return Integer(self.build, change(self.value, kind))

    def as_(self, kind: ir.Type) -> "Integer":
        """The same bits."""
        return Integer(self.build, self.build.bitcast(self.value, kind))

    def rounded(self, bits: int) -> "Integer":
        """Divided by 2**bits, with its sign, and rounded."""
        return Integer(self.build, self.build.ashr((self + (1 << bits - 1)).value, self._constant(bits)))

    def pixel(self) -> "Integer":
        """With its sign: at least 0 and at most 255."""
        least, most = self._constant(0), self._constant(255)
        above = self.build.select(self.build.icmp_signed(">", self.value, least), self.value, least)
        return Integer(self.build, self.build.select(self.build.icmp_signed("<", above, most), above, most))


class IntegerCode(Code):
    """A function in the making whose numbers are Integers; pointers are LLVM's values."""

    def __init__(self, module: ir.Module, name: str, arguments: Sequence[ir.Type]):
        super().__init__(module, name, arguments, apart=False)  # addresses lie in memory, too
        self.function.attributes.add("noinline")  # to be compiled once, not wherever it is called
        self.arguments = [each if isinstance(each.type, ir.PointerType) else self._of(each) for each in self.arguments]

    def _of(self, value: ir.Value) -> Integer:
        return Integer(self.build, value)

    def integer(self, number: int, kind: ir.Type = I64) -> Integer:
        return self._of(kind(number))

    def loop(self, count: int | Integer, body: Callable, carried: Sequence[Integer | ir.Value] = ()) -> list[Integer]:
        def raw_body(i: ir.Value, *values: ir.Value) -> list[ir.Value]:
            return [_raw(each) for each in body(self._of(i), *map(self._of, values)) or ()]

        return [self._of(each) for each in super().loop(_raw(count), raw_body, [_raw(each) for each in carried])]

    def some(self, count: int, at_once: int, body: Callable[[Integer, int], None]) -> None:
        super().some(count, at_once, lambda first, many: body(self._of(_raw(first)), many))

    def times(self, value: Integer | ir.Value, factor: int) -> ir.Value:
        return super().times(_raw(value), factor)

    def repeat(self, body: Callable, carried: Sequence[Integer]) -> list[Integer]:
        """again, *carried = body(*carried) until `again`, of one bit, is 0."""
        build = self.build
        before, start, end = build.block, build.append_basic_block(), build.append_basic_block()
        build.branch(start)
        build.position_at_end(start)
        values = [build.phi(each.kind) for each in carried]
        again, *results = body(*map(self._of, values))
        for value, first, result in zip(values, carried, results, strict=True):
            value.add_incoming(first.value, before)
            value.add_incoming(result.value, build.block)
        build.cbranch(again.value, start, end)
        build.position_at_end(end)
        return results

    def either(self, usual: Integer, one: Callable, other: Callable) -> list[Integer]:
        """What one() gives if `usual`, of one bit, is 1, which it mostly is; else what other() does."""
        build, blocks, results = self.build, [self.build.append_basic_block() for _ in range(3)], []
        build.cbranch(usual.value, *blocks[:2]).set_weights([16, 1])
        for block, branch in zip(blocks, (one, other), strict=False):
            build.position_at_end(block)
            results.append((branch(), build.block))
            build.branch(blocks[2])
        build.position_at_end(blocks[2])
        values = []
        for number, first in enumerate(results[0][0]):
            value = build.phi(first.kind)
            for given, block in results:
                value.add_incoming(given[number].value, block)
            values.append(self._of(value))
        return values

    def at(self, pointer: ir.Value, *offsets: Integer | ir.Value | int, kind: ir.Type = I64) -> ir.Value:
        return super().at(pointer, *map(_raw, offsets), kind=kind)

    def load(self, pointer: ir.Value, *offsets: Integer | int, kind: ir.Type = I64) -> Integer:
        return self._of(super().load(pointer, *offsets, kind=kind))

    def pointer(self, address: Integer) -> ir.Value:
        return self.build.inttoptr(address.value, ir.PointerType())

    def load_pointer(self, pointer: ir.Value, *offsets: Integer | int) -> ir.Value:
        return self.build.load(self.at(pointer, *offsets), typ=ir.PointerType())

    def store(self, value: Integer, pointer: ir.Value, *offsets: Integer | int) -> None:
        super().store(value.value, pointer, *offsets)

    def everywhere(self, number: Integer) -> Integer:
        return self._of(super().everywhere(number.value))

    def shuffle(self, one: Integer | ir.Value, other: Integer | ir.Value, lanes: Sequence[int]) -> Integer | ir.Value:
        result = super().shuffle(_raw(one), _raw(other), lanes)
        return self._of(result) if isinstance(one, Integer) else result

    def first(self, vector: Integer) -> Integer:
        """Its number in the first lane."""
        return self._of(self.build.extract_element(vector.value, I64(0)))

    def call(self, name: str, value: Integer, *others: ir.Value) -> Integer:
        """LLVM's own function of that name, whose result is like what is given."""
        function = self.build.module.globals.get(name) or ir.Function(
            self.build.module, ir.FunctionType(value.kind, [value.kind, *(each.type for each in others)]), name
        )
        return self._of(self.build.call(function, [value.value, *others]))


def _raw(value: Integer | ir.Value | int) -> ir.Value | int:
    return value.value if isinstance(value, Integer) else value
