"""A layer's representation space: its patches, their plane, its regions, as part of a study."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
