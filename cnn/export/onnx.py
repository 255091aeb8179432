"""The plain network as an ONNX file: the same bytes for the same network, names that people can read.

Converters (tf2onnx) number their nodes anew in each run and do not know all of Keras's activations; the
network has seven kinds of layers, so its graph is written out here. Channels come first, as ONNX has it.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cnn.model import build as network
from cnn.model.backend import keras
from cnn.model.labels import ANSWERS, FEATURES, INPUT

OPSET, IR_VERSION = 20, 10  # of 2023: Gelu is in it, and runtimes older than this year's read it


def build(model: keras.Model, metadata: dict[str, object]) -> bytes:
    """The ONNX file of `model`, a network of cnn.model.build, its scaling included.

    Input `pixels`: uint8 (n, size, size, 3). Outputs: `answers` float32 (n, outputs), probabilities or a number, and
    `features` float32 (n, units), the last dense layer's input, by which pictures can be compared. metadata: kept in
    the file, each value as JSON.
    """
    graph = _Graph()
    x = graph.add("Cast", [INPUT], to=TensorProto.FLOAT)
    last = max(place for place, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Dense))
    for layer in model.layers[:last]:
        x = _layer(graph, layer, x)
    graph.nodes[-1].output[0] = x = FEATURES
    for layer in model.layers[last:]:
        x = _layer(graph, layer, x)
    graph.nodes[-1].output[0] = ANSWERS
    size, outputs, units = model.input_shape[1], model.output_shape[1], model.layers[last].input.shape[1]
    proto = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", size, size, 3])],
        [
            helper.make_tensor_value_info(ANSWERS, TensorProto.FLOAT, ["n", outputs]),
            helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", units]),
        ],
        graph.weights,
    )
    file = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(file, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()})
    onnx.checker.check_model(file, full_check=True)
    return file.SerializeToString(deterministic=True)


class _Graph:
    """Nodes and weights in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], outputs: int = 1, **attributes: object) -> str:
        """Add a node; the name of its last output."""
        name = f"{kind.lower()}_{len(self.nodes) + 1}"
        names = [f"{name}_{number}" for number in range(1, outputs)] + [name]
        self.nodes.append(helper.make_node(kind, inputs, names, name=name, **attributes))
        return names[-1]

    def constant(self, value: object, dtype: type = np.float32, name: str = "") -> str:
        """Add a weight or a number; its name."""
        name = name or f"constant_{len(self.weights) + 1}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name


def _layer(graph: _Graph, layer: keras.layers.Layer, x: str) -> str:
    weights = {
        variable.name: graph.constant(_channels_first(variable.numpy()), name=f"{layer.name}/{variable.name}")
        for variable in layer.weights
    }
    match layer:
        case keras.layers.InputLayer() | keras.layers.Dropout():
            return x
        case keras.layers.Rescaling(name=network.NUMBER):
            scaled = graph.add("Mul", [x, graph.constant(layer.scale)])
            return graph.add("Add", [scaled, graph.constant(layer.offset)])
        case keras.layers.Rescaling():
            return graph.add("Transpose", [graph.add("Mul", [x, graph.constant(layer.scale)])], perm=[0, 3, 1, 2])
        case keras.layers.Conv2D():
            return graph.add("Conv", [x, weights["kernel"], weights["bias"]])
        case keras.layers.Activation():
            return activation(graph, layer.activation.__name__, x)
        case keras.layers.MaxPooling2D():
            return graph.add("MaxPool", [x], kernel_shape=layer.pool_size, strides=layer.strides)
        case keras.layers.BatchNormalization():
            names = ("gamma", "beta", "moving_mean", "moving_variance")
            return graph.add("BatchNormalization", [x, *(weights[name] for name in names)], epsilon=layer.epsilon)
        case keras.layers.Flatten():  # Keras flattens with the channels last
            return graph.add("Flatten", [graph.add("Transpose", [x], perm=[0, 2, 3, 1])])
        case keras.layers.Dense():
            x = graph.add("Gemm", [x, weights["kernel"], weights["bias"]])
            return activation(graph, layer.activation.__name__, x)
    raise TypeError(f"no ONNX for {type(layer).__name__}")


def _channels_first(weight: np.ndarray) -> np.ndarray:
    return weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight


# Keras's activations that are one ONNX operator, with Keras's numbers.
OPERATORS: dict[str, tuple[str, dict[str, float | int]]] = {
    "celu": ("Celu", {}),
    "elu": ("Elu", {}),
    "exponential": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "hard_shrink": ("Shrink", {"lambd": 0.5}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "linear": ("Identity", {}),
    "log_softmax": ("LogSoftmax", {"axis": 1}),
    "mish": ("Mish", {}),
    "relu": ("Relu", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "soft_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}),
    "softmax": ("Softmax", {"axis": 1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
}


def activation(graph: _Graph, name: str, x: str) -> str:
    """Add Keras's activation `name` of x, (n, channels, ...)."""
    if name in OPERATORS:
        kind, attributes = OPERATORS[name]
        return graph.add(kind, [x], **attributes)
    number = graph.constant
    match name:
        case "relu6":
            return graph.add("Clip", [x, number(0), number(6)])
        case "hard_tanh":
            return graph.add("Clip", [x, number(-1), number(1)])
        case "log_sigmoid":
            return graph.add("Neg", [graph.add("Softplus", [graph.add("Neg", [x])])])
        case "silu":
            return graph.add("Mul", [x, graph.add("Sigmoid", [x])])
        case "tanh_shrink":
            return graph.add("Sub", [x, graph.add("Tanh", [x])])
        case "squareplus":  # (x + sqrt(x^2 + 4)) / 2
            root = graph.add("Sqrt", [graph.add("Add", [graph.add("Mul", [x, x]), number(4)])])
            return graph.add("Mul", [graph.add("Add", [x, root]), number(0.5)])
        case "sparse_sigmoid":  # (x + 1) / 2 between 0 and 1
            half = graph.add("Mul", [graph.add("Add", [x, number(1)]), number(0.5)])
            return graph.add("Clip", [half, number(0), number(1)])
        case "sparse_plus":  # 0 to -1, (x + 1)^2 / 4 to 1, and then x
            middle = graph.add("Add", [graph.add("Clip", [x, number(-1), number(1)]), number(1)])
            square = graph.add("Mul", [graph.add("Mul", [middle, middle]), number(0.25)])
            return graph.add("Add", [square, graph.add("Relu", [graph.add("Sub", [x, number(1)])])])
        case "sparsemax":
            return _sparsemax(graph, x)
    raise TypeError(f"no ONNX for the activation {name}")


def _sparsemax(graph: _Graph, x: str) -> str:
    """Over the channels, as Keras computes it, which is what was trained.

    Keras adds up the running sums inside the support where Martins and Astudillo (2016, arXiv:1602.02068) take
    the last of them, so with more than one channel in the support its outputs do not add up to 1.
    """
    axis = graph.constant([1], np.int64)
    channels = graph.add("Gather", [graph.add("Shape", [x]), axis])
    graph.add("TopK", [x, channels], outputs=2, axis=1)
    ordered = graph.nodes[-1].output[0]  # from the largest down
    sums = graph.add("CumSum", [ordered, graph.constant(1, np.int64)])
    one = graph.constant(1)
    ranks = graph.add("CumSum", [graph.add("Add", [graph.add("Mul", [ordered, graph.constant(0)]), one]), axis])
    inside = graph.add("Greater", [graph.add("Add", [one, graph.add("Mul", [ranks, ordered])]), sums])
    inside = graph.add("Cast", [inside], to=TensorProto.FLOAT)
    count = graph.add("ReduceSum", [inside, axis])
    total = graph.add("ReduceSum", [graph.add("Mul", [sums, inside]), axis])
    threshold = graph.add("Div", [graph.add("Sub", [total, one]), count])
    return graph.add("Relu", [graph.add("Sub", [x, threshold])])
