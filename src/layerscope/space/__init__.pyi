"""A layer's representation space: its patches, their plane, its regions, as part of a study."""

from .drawn import region_patches as region_patches
from .making import SpaceOptions as SpaceOptions
from .making import make_spaces as make_spaces
from .placing import place_pictures as place_pictures
from .space import Neighbours as Neighbours
