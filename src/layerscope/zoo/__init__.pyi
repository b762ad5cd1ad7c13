"""Networks that have a name, and where their weights come from."""

from .loading import network_names as network_names
from .loading import read_architecture as read_architecture
from .paper import alexcnn as alexcnn
from .paper import vggcnn as vggcnn
from .weights import fetch as fetch
