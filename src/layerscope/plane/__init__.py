"""From vectors to a filled plane: distances, embedding, grid, regions, and how far it can be trusted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
