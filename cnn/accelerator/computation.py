"""Functions of TensorFlow as XLA computations, compiled once for networks that differ in nothing but their numbers."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from cnn.model.backend import tensorflow as tf


class Computations:
    """What the first network compiles, the others call for their own variables, in as many threads as there are."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Callable, list[int | tf.Tensor]]] = {}
        self._lock = Lock()
        self._compilers = ThreadPoolExecutor()

    def compiled(
        self,
        variables: Sequence[tf.Variable],
        name: str,
        function: Callable,
        *signature: Sequence[int] | tf.TensorSpec | list,
    ) -> Callable:
        """`function`, which uses `variables`, under a name of its own.

        signature: each argument's shape, where it is of float32. A function whose name is known has to be the same as
        that one, but for its variables.
        """
        with self._lock:
            if name not in self._known:
                self._known[name] = self._traced(function, variables, signature)
        return _on(self._known[name], variables)

    def _traced(
        self, function: Callable, variables: Sequence[tf.Variable], signature: Sequence
    ) -> tuple[Callable, list[int | tf.Tensor]]:
        specs = [each if isinstance(each, (list, tf.TensorSpec)) else tf.TensorSpec(each) for each in signature]
        # Nothing here is Python for AutoGraph to rewrite. A concrete function is called in a third of the time.
        concrete = tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)
        places = {id(variable.handle): place for place, variable in enumerate(variables)}
        captures = [places.get(id(each), each) for each in concrete.captured_inputs]
        assert all(isinstance(each, int) or each.dtype != tf.resource for each in captures)  # no variable is shared
        traced = concrete, captures
        # The first call compiles. It is made by another thread, which needs Python for little of that, and on
        # variables that are nobody's.
        zeros = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), specs)
        used = [each for each in captures if isinstance(each, int)]
        self._compilers.submit(
            _on(traced, {each: tf.Variable(tf.zeros_like(variables[each])) for each in used}), *zeros
        )
        return traced


def _on(
    traced: tuple[Callable, list[int | tf.Tensor]], variables: Sequence[tf.Variable] | dict[int, tf.Variable]
) -> Callable:
    """A concrete function for other variables."""
    concrete, captures = traced
    own = copy.copy(concrete)
    own.set_external_captures([variables[each].handle if isinstance(each, int) else each for each in captures])
    return own
