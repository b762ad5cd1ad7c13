"""The parts of a comparison: each looks at one difference between networks, and says what it found."""

from __future__ import annotations

from collections.abc import Mapping

from layerscope.compare.part import Part
from layerscope.compare.parts.background import BACKGROUND
from layerscope.compare.parts.filters import FILTERS
from layerscope.compare.parts.predictions import PREDICTIONS
from layerscope.compare.parts.randomisation import RANDOMISATION
from layerscope.compare.parts.rows import ROWS
from layerscope.compare.parts.similarity import SIMILARITY
from layerscope.compare.parts.sparsity import SPARSITY
from layerscope.compare.parts.training import TRAINING

PARTS: Mapping[str, Part] = {
    part.name: part
    for part in (ROWS, PREDICTIONS, SPARSITY, SIMILARITY, FILTERS, BACKGROUND, RANDOMISATION, TRAINING)
}  #: in the order of the report
