"""The compiled trainer: it trains the article's network by machine code that is made for its shapes.

This is its one door, and `cnn.training` alone uses it. Nothing else in the project needs to know what is behind it;
docs/accelerator.md describes it.
"""

from cnn.accelerator.layout import read as read_pictures
from cnn.accelerator.layout import write as write_pictures
from cnn.accelerator.trainer import Pictures, Trainer

__all__ = ["Pictures", "Trainer", "read_pictures", "write_pictures"]
