"""A study as pages: exported as a folder, served, or shown in a notebook, all of one source."""

from .export import export_study as export_study
from .notebook import Explorer as Explorer
from .site import Site as Site
