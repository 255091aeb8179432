"""The stages of dvc.yaml, one module each: `python -m stages.train`."""

# The environment is set, and Ctrl-C ends in one line, before a stage imports numpy or TensorFlow.
from cnn.common import runtime  # noqa: F401
