"""Figures of networks and of reconstructions, and the folder they are written to."""

from .folder import Look as Look
from .overview import layer_table as layer_table
