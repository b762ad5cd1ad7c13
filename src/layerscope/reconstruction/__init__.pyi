"""From a layer's activations back to pixels: the rules, whole layers, single units."""

from .descent import Class as Class
from .descent import Reconstructions as Reconstructions
from .rules import Rule as Rule
from .units import UnitAt as UnitAt
from .units import UnitReconstruction as UnitReconstruction
from .units import stream_units as stream_units
