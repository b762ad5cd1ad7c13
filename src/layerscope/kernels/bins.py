"""The bins and blocks that both ways of reducing share."""

from __future__ import annotations

import numpy as np

SMALLEST, OCTAVES = -20, 32  #: octaves of magnitude that a histogram tells apart: from 2**-20 up to 2**12


BINS = 2 * OCTAVES + 1  #: bins of a histogram: negative values, exact zeros, positive ones


BLOCK = 256  #: positions summed by themselves before their sum joins the others


_POWERS = 2.0 ** np.arange(SMALLEST + 1, SMALLEST + OCTAVES)


EDGES = np.array([-np.inf, *-_POWERS[::-1], 0.0, 0.0, *_POWERS, np.inf])
"""Ends of the bins, BINS + 1 of them: bin i goes from EDGES[i] to EDGES[i + 1], the end nearer to zero included.

Bin OCTAVES holds the exact zeros alone, and the outermost bins everything that is larger in magnitude.
"""
