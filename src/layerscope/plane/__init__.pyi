"""From vectors to a filled plane: distances, embedding, grid, regions, and how far it can be trusted."""

from .clusters import Clustering as Clustering
from .clusters import suggest_regions as suggest_regions
from .embedding import Tsne as Tsne
from .embedding import embed as embed
from .grid import Grid as Grid
from .grid import arrange as arrange
from .grid import fill as fill
from .regions import Region as Region
from .truth import Measure as Measure
