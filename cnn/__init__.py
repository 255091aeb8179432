"""What the stages and the programs share. A folder is a room, and a room is a dependency of DVC's stages."""

import os

from cnn.common import environment, runtime  # noqa: F401  runtime registers how a program ends before libraries do

os.environ.update(environment.VARIABLES)
