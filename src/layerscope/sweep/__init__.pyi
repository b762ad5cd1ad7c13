"""One pass over a set of pictures that feeds many reducers, shard by shard, and the study made of it."""

from .channel_statistics import ChannelStatistics as ChannelStatistics
from .channel_statistics import Sparsity as Sparsity
from .engine import Engine as Engine
from .engine import Local as Local
from .making import sweep_study as sweep_study
from .one_pass import Sweep as Sweep
from .one_pass import SweepOptions as SweepOptions
from .one_pass import sweep_images as sweep_images
from .patch_sample import PatchSample as PatchSample
from .predictions import Predictions as Predictions
from .ray_engine import RayEngine as RayEngine
from .reducers import LayerBatch as LayerBatch
from .reducers import Reducer as Reducer
from .reducers import Target as Target
from .reducers import every_layer as every_layer
from .standard import standard_reducers as standard_reducers
from .top_patches import TopPatches as TopPatches
