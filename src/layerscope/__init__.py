"""layerscope: what every layer of a convolutional network represents, and how two networks differ.

The public names stand in ``__init__.pyi`` and are imported when first used: ``import layerscope`` costs nothing,
``layerscope.load_network`` costs torch.
"""

import lazy_loader

from layerscope._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
