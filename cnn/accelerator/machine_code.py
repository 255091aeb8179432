"""Machine code of LLVM's language, calls of it that wait to be made, and the memory that it works on."""

import ctypes
import functools
import math
from collections.abc import Callable

import numpy as np
from llvmlite import binding, ir

I64, POINTER = ir.IntType(64), ir.PointerType()
Call = Callable[[], None]  # a call with all its arguments, which waits to be made, as often as wanted


class MachineCode:
    """The machine code of a module, which lives as long as this does, or a call of it."""

    def __init__(self, module: ir.Module, features: dict[str, bool] | None = None):
        """features: instructions that the processor is to have, by LLVM's names; all that it has if not given."""
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
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
        self._arguments = {function.name: len(function.args) for function in module.functions}

    def call(self, name: str, *arguments: int) -> Call:
        """The call of a function of the module, which takes integers and addresses; Python's lock is let go in it."""
        kinds = [ctypes.c_int64] * self._arguments[name]
        function = ctypes.CFUNCTYPE(None, *kinds)(self._engine.get_function_address(name))
        function.code = self  # which has to live as long
        return functools.partial(function, *map(ctypes.c_int64, arguments))


def processor(changes: dict[str, bool] | None = None) -> dict[str, bool]:
    """The instructions that this machine's processor has, by LLVM's names, but for `changes`."""
    return binding.get_host_cpu_features() | (changes or {})


def aligned(shape: tuple[int, ...], halo: int = 0, kind: type = np.float32) -> np.ndarray:
    """Zeros, at an address for vectors, with `halo` more before and after them."""
    size, count = np.dtype(kind).itemsize, math.prod(shape)
    whole = np.zeros((count + 2 * halo) * size + 64, np.uint8)
    start = halo * size + -(whole.ctypes.data + halo * size) % 64
    return whole[start : start + count * size].view(kind).reshape(shape)


def address(numbers: np.ndarray) -> int:
    """The address of the first number."""
    return numbers.__array_interface__["data"][0]  # numbers.ctypes.data, without what it makes on the way
