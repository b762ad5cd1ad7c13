"""A network seen operation by operation: its graph, its layers, their receptive fields, its convolutions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
