"""The article's network, untrained.

Input (image_size, image_size, 3), pixels 0..255 scaled to 0..1; block i of `depth`: Conv2D(filters * 2^i,
3x3, valid), activation, MaxPooling2D(2x2); Flatten; Dense 120 and Dense 60 with activation;
Dense with softmax, or one sigmoid unit for two classes with binary cross-entropy, or one linear unit for
regression. With depth 2, 6 filters and 4 classes it has 705,412 parameters.

For regression the linear unit predicts standardized targets: standard deviations from the mean of the training
targets. A last layer turns these into targets. The loss is computed on the standardized ones, so that one learning
rate suits counts and prices alike, and to predict the mean always has a loss of about 1.

Beyond the article: batch normalization (Ioffe and Szegedy 2015, arXiv:1502.03167) comes after the pooling, where
it normalizes a quarter of the values; dropout (Srivastava et al. 2014, JMLR 15:1929) before each dense layer.
"""

from cnn.common.params import KERNEL, POOL, SCALE, Params
from cnn.common.task import Regression, Task
from cnn.model.backend import keras

DENSE = (120, 60)
NUMBER = "number"  # the last layer for regression
MOMENTUM = 0.9  # of batch normalization; Keras's 0.99 needs hundreds of steps, and an epoch may have fewer


def build(params: Params, task: Task) -> keras.Model:
    """The untrained, uncompiled network; weights are drawn from Keras's current seed.

    Raises UserError for a loss that does not fit the task.
    """
    size = params.image_size
    pixels = keras.Input((size, size, 3), name="pixels")
    x = keras.layers.Rescaling(SCALE, name="scale")(pixels)
    x = head(body(x, params), task, task.loss(params.loss))
    return keras.Model(pixels, x, name="article")


def body(x: keras.KerasTensor, params: Params) -> keras.KerasTensor:
    """Everything between the scaled pictures x (size, size, 3) and the head: convolutions, then dense layers."""
    for block in range(params.depth):
        x = keras.layers.Conv2D(params.filters * 2**block, KERNEL, name=f"conv_{block + 1}")(x)
        x = keras.layers.Activation(params.activation, name=f"conv_{block + 1}_{params.activation}")(x)
        x = keras.layers.MaxPooling2D(POOL, name=f"pool_{block + 1}")(x)
        if params.batch_normalization:
            x = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"normalization_{block + 1}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(DENSE, start=1):
        x = _dropout(x, params, number)
        x = keras.layers.Dense(units, activation=params.activation, name=f"dense_{number}")(x)
    return _dropout(x, params, len(DENSE) + 1)


def _dropout(x: keras.KerasTensor, params: Params, number: int) -> keras.KerasTensor:
    return keras.layers.Dropout(params.dropout, name=f"dropout_{number}")(x) if params.dropout else x


def head(x: keras.KerasTensor, task: Task, loss: str) -> keras.KerasTensor:
    """The output layers: one linear unit for a number, one sigmoid for two classes, or a softmax."""
    if isinstance(task, Regression):
        x = keras.layers.Dense(1, name="deviations")(x)
        return keras.layers.Rescaling(task.deviation, offset=task.mean, name=NUMBER)(x)
    if loss == "binary_crossentropy":
        return keras.layers.Dense(1, activation="sigmoid", name="probability")(x)
    return keras.layers.Dense(len(task.classes), activation="softmax", name="probabilities")(x)
