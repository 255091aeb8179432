"""The stages of dvc.yaml, one module each: `python -m stages.train`."""

import cnn  # noqa: F401  sets the environment before a stage imports numpy or TensorFlow
