"""A study as pages: exported as a folder, served, or shown in a notebook, all of one source."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
