"""Networks without their fully-connected layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from layerscope.zoo.paper import PaperCNN, PaperTrunk
from layerscope.zoo.states import unwrapped


class Trunk(nn.Module):
    """The ``features`` of a torchvision network: its convolutions and pools, without the classifier."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, pictures: Tensor) -> Tensor:
        """The last feature maps."""
        maps: Tensor = self.features(pictures)
        return maps


def trunk_of(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module | None:
    """The module without its classifier, if it has one and the state has tensors only for the rest."""
    own = module.state_dict()
    features = getattr(module, "features", None)
    if isinstance(module, PaperCNN):
        trunk: nn.Module = PaperTrunk(module)
    elif isinstance(features, nn.Module):
        trunk = Trunk(features)
    else:
        return None
    kept = _parts(trunk.state_dict())
    return trunk if _parts(own) - kept and _parts(unwrapped(state, own)) <= kept else None


def _parts(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in names)
