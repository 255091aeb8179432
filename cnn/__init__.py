"""What the stages and the programs share. A folder is a room, and a room is a dependency of DVC's stages."""

import os

from cnn.common import environment

os.environ.update(environment.VARIABLES)
