"""The pictures that a study's pages show, added to the study."""

from .making import add_pages as add_pages
from .options import PageOptions as PageOptions
