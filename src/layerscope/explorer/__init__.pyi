"""A study as pages: exported as a folder, served, or shown in a notebook, all of one source."""

from .export import Exported as Exported
from .notebook import Explorer as Explorer
from .site import Site as Site
