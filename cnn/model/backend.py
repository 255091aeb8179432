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
    """Hold back what native libraries write to file descriptor 2 in the block; show it if the block fails.

    TensorFlow logs lines about its build before its own log level is in force.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _import() -> tuple[ModuleType, ModuleType]:
    """The modules keras and tensorflow, initialised.

    Their objects stay in memory to the end of the process. To look for garbage among them takes a third of the
    import, and most of a second at the end, so the garbage collector leaves them out.
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
