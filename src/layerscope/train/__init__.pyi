"""Networks trained from labelled pictures, exactly."""

from .plan import TrainOptions as TrainOptions
from .recipes import RECIPES as RECIPES
from .recipes import Recipe as Recipe
from .training import Trained as Trained
from .training import train_network as train_network
