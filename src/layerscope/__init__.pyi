"""The public names, explicitly; each is imported when it is first used."""

from .errors import GeometryError as GeometryError
from .errors import ImageError as ImageError
from .errors import LayerscopeError as LayerscopeError
from .errors import NetworkError as NetworkError
from .errors import UnsupportedOperationError as UnsupportedOperationError
from .errors import WeightsError as WeightsError
from .gallery import Look as Look
from .gallery import show_reconstructions as show_reconstructions
from .geometry import Box as Box
from .geometry import ReceptiveField as ReceptiveField
from .images import find_images as find_images
from .images import load_image as load_image
from .imagesets import ImageSet as ImageSet
from .imagesets import Loaded as Loaded
from .imagesets import open_images as open_images
from .layers import Layer as Layer
from .network import Network as Network
from .network import Prediction as Prediction
from .network import Unit as Unit
from .overview import layer_table as layer_table
from .overview import show_architecture as show_architecture
from .paper import alexcnn as alexcnn
from .paper import vggcnn as vggcnn
from .preprocessing import Preprocessing as Preprocessing
from .reconstruction import Class as Class
from .reconstruction import Reconstructions as Reconstructions
from .reconstruction import reconstruct as reconstruct
from .render import show_signal as show_signal
from .rules import DECONVNET as DECONVNET
from .rules import GRADIENT as GRADIENT
from .rules import GUIDED as GUIDED
from .rules import Rule as Rule
from .units import UnitAt as UnitAt
from .units import UnitReconstruction as UnitReconstruction
from .units import reconstruct_units as reconstruct_units
from .units import stream_units as stream_units
from .zoo import Options as Options
from .zoo import load_network as load_network
from .zoo import read_architecture as read_architecture

__version__: str
