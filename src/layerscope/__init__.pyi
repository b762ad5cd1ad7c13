"""The public names that most programs need; each is imported when it is first used. The wings have the rest."""

from .compare.comparison import compare_studies as compare_studies
from .compare.sparsity import show_sparsity as show_sparsity
from .drawing.render import show_signal as show_signal
from .errors import ComparisonError as ComparisonError
from .errors import DisplayError as DisplayError
from .errors import EmbeddingError as EmbeddingError
from .errors import EngineError as EngineError
from .errors import GeometryError as GeometryError
from .errors import ImageError as ImageError
from .errors import LayerscopeError as LayerscopeError
from .errors import NetworkError as NetworkError
from .errors import OutputError as OutputError
from .errors import PlaneError as PlaneError
from .errors import PortraitError as PortraitError
from .errors import SizeError as SizeError
from .errors import StudyError as StudyError
from .errors import TrainingError as TrainingError
from .errors import TruthError as TruthError
from .errors import UnsupportedOperationError as UnsupportedOperationError
from .errors import WeightsError as WeightsError
from .explorer.export import export_study as export_study
from .explorer.notebook import explore as explore
from .gallery.folder import show_reconstructions as show_reconstructions
from .gallery.overview import show_architecture as show_architecture
from .images.decoding import load_image as load_image
from .images.decoding import load_picture as load_picture
from .images.sets import open_images as open_images
from .network.layers import Layer as Layer
from .network.network import Network as Network
from .network.network import Unit as Unit
from .network.preprocessing import Preprocessing as Preprocessing
from .pipeline import StudyOptions as StudyOptions
from .pipeline import make_study as make_study
from .reconstruction.descent import reconstruct as reconstruct
from .reconstruction.rules import DECONVNET as DECONVNET
from .reconstruction.rules import GRADIENT as GRADIENT
from .reconstruction.rules import GUIDED as GUIDED
from .reconstruction.units import reconstruct_units as reconstruct_units
from .space.drawn import show_region as show_region
from .space.placing import show_placed as show_placed
from .space.space import Space as Space
from .study.folder import Study as Study
from .zoo.loading import load_network as load_network

__version__: str
