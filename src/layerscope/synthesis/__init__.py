"""Pictures made from a network: what excites its channels and classes most, and what its layers keep of a picture."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
