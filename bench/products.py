"""How fast XLA multiplies matrices of the folded convolution's shapes, on one core.

    python bench/products.py

Left, the columns of one picture; right, those of a batch of ten, which no longer fit the cache of a core.
stages/lib/fold.py computes pictures one by one because of it. The best of five runs of 200 products each.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # before numpy

if __name__ == "__main__":
    runtime.no_arguments(__doc__)  # before the imports that take time
import numpy as np

_, tf = runtime.import_keras()
from stages.lib.fold import optimization_barrier  # noqa: E402  after TensorFlow

PLACES = 24 * 24  # of a set of windows of a 96 x 96 picture
# Rows and depth of the product, and which of its factors lie transposed, as in the first and the second block.
SHAPES = [
    ("first block, (4F, 16C) (16C, m)", 24, 48, False),
    ("first block, kernel as it lies, (16C, 4F)' (16C, m)", 24, 48, True),
    ("second block, (4F, 16C) (16C, m)", 48, 96, False),
    ("second block, kernel as it lies, (16C, 4F)' (16C, m)", 48, 96, True),
]


def gigaflops(rows: int, depth: int, columns: int, transposed: bool) -> float:
    """Of float32 (rows, depth) times (depth, columns)."""
    generator = np.random.default_rng(0)
    left = generator.standard_normal((depth, rows) if transposed else (rows, depth), np.float32)
    right = generator.standard_normal((depth, columns), np.float32)

    @tf.function(jit_compile=True)
    def products(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        def one(i: tf.Tensor, last: tf.Tensor) -> tuple:
            # Of what never changes, XLA would compute the product before the loop, and of one number only that.
            product = tf.matmul(left + 0 * last, right, transpose_a=transposed)
            return i + 1, optimization_barrier(product)[0][0, 0]

        return tf.while_loop(lambda i, _: i < 200, one, (0, 0.0))[1]

    arguments = tf.constant(left), tf.constant(right)
    times = []
    for _ in range(6):  # the first compiles
        start = time.perf_counter()
        products(*arguments).numpy()
        times.append(time.perf_counter() - start)
    return 2e-9 * 200 * rows * depth * columns / min(times)


def main() -> None:
    for name, rows, depth, transposed in SHAPES:
        one, ten = (gigaflops(rows, depth, pictures * PLACES, transposed) for pictures in (1, 10))
        print(f"{name:55s} {one:5.0f} GFLOP/s {ten:5.0f} GFLOP/s")


if __name__ == "__main__":
    runtime.run(main)
