"""Two or more networks side by side."""

from .evaluation import evaluate_networks as evaluate_networks
from .matching import Matches as Matches
from .matching import match_filters as match_filters
from .matching import match_partially as match_partially
from .neighbours import Overlaps as Overlaps
from .neighbours import compare_neighbours as compare_neighbours
from .pooled import Pooled as Pooled
from .representations import Representations as Representations
from .representations import gather_representations as gather_representations
from .similarity import Similarities as Similarities
from .similarity import compare_layers as compare_layers
from .sparsity import sparsity_table as sparsity_table
from .subject import CompareOptions as CompareOptions
