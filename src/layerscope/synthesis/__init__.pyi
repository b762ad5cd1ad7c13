"""Pictures made from a network: what excites its channels and classes most, and what its layers keep of a picture."""

from .inverted_folder import make_inverted as make_inverted
from .inverting import Inverted as Inverted
from .inverting import InvertOptions as InvertOptions
from .inverting import invert as invert
from .maximised_folder import make_maximised as make_maximised
from .maximised_study import add_maximised as add_maximised
from .maximising import Maximised as Maximised
from .maximising import MaximiseOptions as MaximiseOptions
from .maximising import maximise as maximise
from .maximising import stream_maximised as stream_maximised
from .nature import Nature as Nature
