"""One pass over a set of pictures that feeds many reducers, shard by shard, and the study made of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
