"""The filters of a study: their strongest patches, with what each filter keeps of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
