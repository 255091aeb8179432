"""What the stages and the programs share. A folder is a room, and a room is a dependency of DVC's stages."""

from cnn.common import environment

environment.set_variables()
