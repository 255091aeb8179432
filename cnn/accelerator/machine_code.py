"""Machine code of LLVM's language, calls of it that wait to be made, and the memory that it works on."""

import ctypes
import math
from dataclasses import dataclass

import numpy as np
from llvmlite import binding, ir

I64, POINTER = ir.IntType(64), ir.PointerType()


@dataclass(frozen=True)
class Call:
    """A call with all its arguments, which waits to be made, as often as wanted."""

    entry: int  # the address of a function that takes the address of the arguments
    arguments: np.ndarray  # int64
    at: int  # their address
    code: "MachineCode"  # which has to live as long


class MachineCode:
    """The machine code of a module, which lives as long as this does.

    A name that a library of the process has as well may lead there: LLVM's own can hold blanks, which C's cannot.
    """

    def __init__(self, module: ir.Module | str, features: dict[str, bool] | None = None):
        """features: instructions that the processor is to have, by LLVM's names; all that it has if not given."""
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self._arguments: dict[str, int] = {}
        if isinstance(module, ir.Module):
            for function in [each for each in module.functions if not each.is_declaration]:
                _entry(module, function)
                self._arguments[function.name] = len(function.args)
        features = processor(features)
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(), features=binding.targets.FeatureMap(features).flatten(), opt=2, jit=True
        )
        parsed = binding.parse_assembly(str(module))
        parsed.verify()  # what LLVM does with language that is not its own is anyone's guess
        # Code that is made of vectors, and unrolled where that pays, gains nothing from more than this but a wait.
        options = binding.create_pipeline_tuning_options(speed_level=1)
        options.loop_unrolling = False
        passes = binding.create_pass_builder(machine, options)
        passes.getModulePassManager().run(parsed, passes)
        self._engine = binding.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()
        self._entries = {name: self._engine.get_function_address(_entry_of(name)) for name in self._arguments}

    def call(self, name: str, *arguments: int) -> Call:
        """The call of a function of the ir.Module, which takes integers and addresses."""
        if len(arguments) != self._arguments[name]:
            raise TypeError(f"{name} takes {self._arguments[name]} arguments, not {len(arguments)}")
        numbers = np.array(arguments, np.int64)
        return Call(self._entries[name], numbers, address(numbers), self)


def run(call: Call) -> None:
    """Make the call, without Python's lock."""
    _CALLED(call.entry)(call.at)


_CALLED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def processor(changes: dict[str, bool] | None = None) -> dict[str, bool]:
    """The instructions that this machine's processor has, by LLVM's names, but for `changes`."""
    return binding.get_host_cpu_features() | (changes or {})


def _entry(module: ir.Module, function: ir.Function) -> None:
    """A function that reads the arguments of `function` from memory."""
    function.linkage = "internal"  # it becomes a part of its entry
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), _entry_of(function.name))
    build = ir.IRBuilder(entry.append_basic_block())
    places = (build.gep(entry.args[0], [I64(number)], source_etype=I64) for number in range(len(function.args)))
    build.call(function, [build.load(at, typ=each.type) for at, each in zip(places, function.args, strict=True)])
    build.ret_void()


def _entry_of(name: str) -> str:
    return f"{name} by its arguments' address"


def aligned(shape: tuple[int, ...], beyond: int = 0, kind: type = np.float32) -> np.ndarray:
    """Zeros, at an address for vectors, with `beyond` more before and after them."""
    size, count = np.dtype(kind).itemsize, math.prod(shape)
    whole = np.zeros((count + 2 * beyond) * size + 64, np.uint8)
    start = beyond * size + -(whole.ctypes.data + beyond * size) % 64
    return whole[start : start + count * size].view(kind).reshape(shape)


def address(numbers: np.ndarray) -> int:
    """The address of the first number."""
    return numbers.__array_interface__["data"][0]  # numbers.ctypes.data, without what it makes on the way
