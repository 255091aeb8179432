"""The machine code sums in an order of its own, whatever instructions the processor has."""

import numpy as np
import pytest

from cnn.accelerator.convolution import Convolution, Shape
from cnn.accelerator.machine_code import address, aligned

WITHOUT_AVX512 = {
    f"avx512{part}": False
    for part in ("f", "bw", "cd", "dq", "vl", "bf16", "bitalg", "fp16", "ifma", "vbmi", "vbmi2", "vnni", "vpopcntdq")
} | {"avx512vp2intersect": False}


def computed(shape: Shape, features: dict[str, bool]) -> list[bytes]:
    """The bytes of all that `forward` and `backward` give for pictures of noise."""
    n, margin, noise = 3, 4 * shape.halo, np.random.default_rng(0)

    def array(count: int, values: str = "") -> np.ndarray:
        numbers = aligned((count,), margin, np.uint8 if values == "bytes" else np.float32)
        if values:
            numbers[:] = noise.integers(0, 256, count) if values == "bytes" else noise.normal(size=count)
        return numbers

    pictures = array(n * shape.input_size, "bytes" if shape.scale else "normal")
    kernel, bias, flipped = array(shape.kernel, "normal"), array(shape.filters, "normal"), array(shape.kernel, "normal")
    grad_output = array(n * shape.output_size, "normal")
    given, argmax = array(n * shape.output_size), np.zeros(n * shape.output_size, np.uint8)
    grad_variables, grad_pictures, scratch = (
        array(n * shape.variables),
        array(n * shape.input_size),
        array(shape.scratch),
    )
    code = Convolution(shape, features)
    arrays = (pictures, kernel, bias, given, argmax, scratch)
    calls = [code.forward(n, *map(address, arrays))]
    arrays = (pictures, flipped, given, argmax, grad_output, grad_variables, grad_pictures, scratch)
    calls.append(code.backward(n, shape.variables, *map(address, arrays)))
    for call in calls:
        call()
    results = (given, argmax, grad_variables, grad_pictures)
    assert all(np.isfinite(each).all() for each in results)
    assert (grad_pictures != 0).any() == (not shape.scale)
    return [each.tobytes() for each in results]


@pytest.mark.parametrize(
    "shape",
    [
        Shape(2, 3, 5, 7, 13, pooled=True, rectified=True, scale=1 / 255),
        Shape(1, 6, 12, 6, 5, pooled=True, rectified=False),
        Shape(1, 4, 3, 5, 4, pooled=False),
    ],
)
def test_shorter_vectors_give_the_same_bits(shape):
    assert computed(shape, WITHOUT_AVX512) == computed(shape, {})
