"""AlexCNN and VGGCNN exactly as the paper builds them (arXiv 1412.6631, section 3), at any width and input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.errors import NetworkError


class Conv(NamedTuple):
    """A convolution of the plan; ReLU follows."""

    name: str
    filters: int
    kernel: int
    stride: int = 1
    pad: int = 1

    def output(self, size: int) -> int:
        """Its output size along one axis."""
        return (size + 2 * self.pad - self.kernel) // self.stride + 1


class Pool(NamedTuple):
    """A 2x2 max-pool of the plan, stride 2."""

    name: str
    ceil: bool = False

    def output(self, size: int) -> int:
        """Its output size along one axis."""
        return (size + self.ceil) // 2


Blocks = Sequence[Conv | Pool]

ALEXCNN: Blocks = (
    Conv("c1", 96, kernel=11, stride=4, pad=2),
    Pool("p1", ceil=True),
    Conv("c2", 256, kernel=5),
    Pool("p2", ceil=True),
    Conv("c3", 384, kernel=3),
    Conv("c4", 384, kernel=3),
    Conv("c5", 256, kernel=3),
    Pool("p5", ceil=True),
)


def _vgg_group(group: int, filters: int, convolutions: int) -> Blocks:
    names = (f"c{group}_{i}" for i in range(1, convolutions + 1))
    return (*(Conv(name, filters, kernel=3) for name in names), Pool(f"p{group}"))


VGGCNN: Blocks = (
    *_vgg_group(1, 64, 2),
    *_vgg_group(2, 128, 2),
    *_vgg_group(3, 256, 3),
    *_vgg_group(4, 512, 3),
    *_vgg_group(5, 512, 3),
)


class PaperCNN(nn.Module):
    """The plan's convolutions and pools, then fc6, fc7 (4096 each, dropout while training) and fc8 (classes).

    Takes (batch, channels, height, width), returns (batch, classes): plain scores. ReLU follows every other weight
    layer. In the paper one follows fc8, too: ``final_relu`` adds it, as `load_network` does where it reads one; a loss
    needs the scores as they are.
    """

    def __init__(
        self,
        plan: Blocks,
        *,
        classes: int = 1000,
        channels: int = 3,
        width: float = 1.0,
        input_size: int | tuple[int, int] = 224,
        final_relu: bool = False,
    ) -> None:
        super().__init__()
        self.final_relu = final_relu
        self.trunk = tuple(part.name for part in plan)
        height, columns = (input_size, input_size) if isinstance(input_size, int) else input_size
        for part in plan:
            if isinstance(part, Conv):
                filters = max(1, round(part.filters * width))
                self.add_module(part.name, nn.Conv2d(channels, filters, part.kernel, part.stride, part.pad))
                channels = filters
            else:
                self.add_module(part.name, nn.MaxPool2d(2, ceil_mode=part.ceil))
            height, columns = part.output(height), part.output(columns)
        if min(height, columns) < 1:
            raise NetworkError(
                f"an input of {input_size} pixels leaves nothing after {plan[-1].name}; use a larger one"
            )
        hidden = max(1, round(4096 * width))
        self.fc6 = nn.Linear(channels * height * columns, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, classes)
        self.apply(_initialise)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores of each class."""
        values = _through(self, self.trunk, pictures).flatten(1)
        for layer in (self.fc6, self.fc7):
            values = F.dropout(F.relu(layer(values)), training=self.training)
        scores: Tensor = self.fc8(values)
        return F.relu(scores) if self.final_relu else scores


class PaperTrunk(nn.Module):
    """The convolutions and pools of such a network, the very same ones, without its fully-connected layers."""

    def __init__(self, whole: PaperCNN) -> None:
        super().__init__()
        self.trunk = whole.trunk
        for name in self.trunk:
            self.add_module(name, whole.get_submodule(name))

    def forward(self, pictures: Tensor) -> Tensor:
        """The last feature maps."""
        return _through(self, self.trunk, pictures)


def _through(module: nn.Module, names: Sequence[str], values: Tensor) -> Tensor:
    """The values after the module's convolutions and pools of these names."""
    for name in names:
        layer = module.get_submodule(name)
        values = F.relu(layer(values)) if isinstance(layer, nn.Conv2d) else layer(values)
    return values


def _initialise(layer: nn.Module) -> None:
    """He et al. 2015: keeps the variance through any number of rectified layers; no bias."""
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def alexcnn(
    *,
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    input_size: int | tuple[int, int] = 224,
    final_relu: bool = False,
) -> PaperCNN:
    """AlexNet without local response normalisation; ``width`` scales the number of filters of every layer."""
    return PaperCNN(
        ALEXCNN,
        classes=classes,
        channels=channels,
        width=width,
        input_size=input_size,
        final_relu=final_relu,
    )


def vggcnn(
    *,
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    input_size: int | tuple[int, int] = 224,
    final_relu: bool = False,
) -> PaperCNN:
    """VGG-16, configuration D; ``width`` scales the number of filters of every layer."""
    return PaperCNN(
        VGGCNN,
        classes=classes,
        channels=channels,
        width=width,
        input_size=input_size,
        final_relu=final_relu,
    )
