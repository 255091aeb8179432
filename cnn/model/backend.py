"""Keras on TensorFlow, imported quietly: `from cnn.model.backend import keras, tensorflow as tf`."""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def suppress_native_stderr() -> Iterator[None]:
    """Hold back what libraries write to file descriptor 2 meanwhile; show it if the block fails.

    TensorFlow greets with lines about its build before its own log level is in force.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _import() -> tuple[ModuleType, ModuleType]:
    """The modules keras and tensorflow, initialised.

    What they leave in memory stays to the end of the process. To look for garbage among it takes a third of
    the import, and once more at the end most of a second, so Python is told not to.
    """
    gc.disable()
    try:
        with suppress_native_stderr():
            import keras
            import tensorflow

            tensorflow.constant(0)
        gc.freeze()
    finally:
        gc.enable()
    return keras, tensorflow


keras, tensorflow = _import()


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's old and TensorFlow's generators.

    `numpy.random.default_rng` is not covered: give it a seed where it is made. TensorFlow's switch for
    deterministic operations is left alone: all are so far, and XLA compiles others where it is on.
    """
    keras.utils.set_random_seed(seed)
