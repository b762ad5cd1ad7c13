"""A network seen operation by operation: its graph, its layers, their receptive fields, its convolutions."""

from .geometry import Box as Box
from .geometry import ReceptiveField as ReceptiveField
from .network import Prediction as Prediction
from .source import Loading as Loading
from .source import Options as Options
