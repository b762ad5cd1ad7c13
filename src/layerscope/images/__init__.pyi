"""Picture files and sets of pictures: found, decoded, read ahead."""

from .bands import Bands as Bands
from .bands import bands_of as bands_of
from .finding import find_images as find_images
from .sets import ImageSet as ImageSet
from .sets import Loaded as Loaded
