"""The optimizers of params.yaml."""

from cnn.model.backend import keras


def optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """params.yaml's `optimizer`; momentum and nesterov are SGD with a momentum of 0.9."""
    optimizers = keras.optimizers
    return {
        "sgd": lambda: optimizers.SGD(learning_rate),
        "momentum": lambda: optimizers.SGD(learning_rate, momentum=0.9),
        "nesterov": lambda: optimizers.SGD(learning_rate, momentum=0.9, nesterov=True),
        "adagrad": lambda: optimizers.Adagrad(learning_rate),
        "rmsprop": lambda: optimizers.RMSprop(learning_rate),
        "adam": lambda: optimizers.Adam(learning_rate),
        "adamw": lambda: optimizers.AdamW(learning_rate),
    }[name]()
