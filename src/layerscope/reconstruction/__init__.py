"""From a layer's activations back to pixels: the rules, whole layers, single units."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
