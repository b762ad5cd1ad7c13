"""Pictures that are optimised: as Fourier coefficients in decorrelated colour, or pixel by pixel.

Source: Olah, Mordvintsev, Schubert 2017, Feature Visualization, distill.pub: with all frequencies of equal size at
the start and colours as they vary in photographs, gradient ascent reaches shapes before it reaches noise.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from layerscope.choices import MOST_EACH
from layerscope.errors import LayerscopeError
from layerscope.network.tracing import float32

Prior = Literal["none", "fourier", "study"]

_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))
"""Red, green and blue along the three directions in which colours of photographs vary, by how much: a root of their
covariance over ImageNet's training pictures, as Olah et al. give it."""
_LARGEST = 0.4619524  # the longest of its columns, to which all are scaled
_START = 0.01  # deviation of the coefficients at the start
_CONTRAST = 4.0  # by which a coefficient is divided, for a rate near that of other parameters
_LEAST = {"steps": 1, "each": 1, "starts": 1}  # of options; of others 0
_MOST = {"seed": 2**63 - 1, "scaling": 0.5, "each": MOST_EACH}


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pictures (rows, channels, height, width) in (0, 1), as what is changed to change them.

    ``colours``: which channels are red, green and blue; None: there are no such three.
    """

    prior: Prior
    parameters: Tensor  #: a leaf
    height: int
    width: int
    colours: tuple[int, ...] | None = None

    @classmethod
    def drawn(
        cls,
        prior: Prior,
        shape: tuple[int, int, int],
        seeds: Sequence[int],
        device: torch.device | str = "cpu",
        colours: tuple[int, ...] | None = None,
    ) -> Pixels:
        """Nearly grey pictures (channels, height, width), one by each seed, whatever others and devices there are."""
        channels, height, width = shape
        form = shape if prior == "none" else (channels, height, width // 2 + 1, 2)
        rows = [torch.randn(form, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        start = (torch.stack(rows) * _START).to(device).requires_grad_()
        return cls(prior, start, height, width, colours)

    def pictures(self) -> Tensor:
        """As they are now."""
        if self.prior == "none":
            return torch.sigmoid(self.parameters)
        spectrum = torch.view_as_complex(self.parameters) * self._sizes()
        waves = torch.fft.irfft2(spectrum, s=(self.height, self.width), norm="ortho") / _CONTRAST
        if self.colours is not None:
            waves = torch.einsum("nchw,dc->ndhw", waves, self._directions(waves))
        return torch.sigmoid(waves)

    def _directions(self, waves: Tensor) -> Tensor:
        """What waves of each direction add to each channel: (channels, directions)."""
        mixing = torch.eye(waves.shape[1]).to(waves)
        for colour, row in zip(self.colours or (), _COLOURS, strict=True):
            for direction, share in zip(sorted(self.colours or ()), row, strict=True):
                mixing[colour, direction] = share / _LARGEST
        return mixing

    def _sizes(self) -> Tensor:
        """By what each frequency is multiplied: one over it, as in photographs."""
        device = self.parameters.device
        down = torch.fft.fftfreq(self.height, device=device)[:, None]
        across = torch.fft.rfftfreq(self.width, device=device)
        least = 1 / max(self.height, self.width)
        return 1 / torch.sqrt(down**2 + across**2).clamp(min=least)


@dataclass(frozen=True)
class Pace:
    """``steps`` of Adam at ``rate``; over the share ``calm`` of them, the last ones, it falls to its share ``last``."""

    steps: int
    rate: float
    calm: float
    last: float

    def rate_at(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        left = (self.steps - step) / max(1.0, self.calm * self.steps)
        return self.rate * max(self.last, min(1.0, left))


def lowered(
    pixels: Pixels, loss: Callable[[int, Tensor], Tensor], pace: Pace, done: Callable[[], object]
) -> Tensor:
    """The pictures in 8 bits, on the CPU, changed so that the loss of (step, pictures) falls; ``done`` is told of each
    step. Raises LayerscopeError where the loss or a derivative is not finite."""
    descent = torch.optim.Adam([pixels.parameters], pace.rate)
    for step in range(pace.steps):
        descent.param_groups[0]["lr"] = pace.rate_at(step)
        descent.zero_grad()
        with float32():
            lost = loss(step, pixels.pictures())
            if not step and lost.isnan():
                raise LayerscopeError("the network gives NaN: its weights are not finite; give others")
            lost.backward()  # type: ignore[no-untyped-call]
        descent.step()
        done()
    found = pixels.pictures().detach()
    if not found.isfinite().all():
        raise LayerscopeError(
            "pictures became NaN: what the network gives, or a weight of the options, is too large; give smaller ones"
        )
    return eight_bits(found).cpu()


def check_options(options: Mapping[str, object]) -> None:
    """Raise LayerscopeError for a number that is not finite, or less or more than it can be."""
    for name, value in options.items():
        least, most = _LEAST.get(name, 0), _MOST.get(name, sys.float_info.max)
        if isinstance(value, int | float) and not least <= value <= most:
            span = f"{least} to {most}" if name in _MOST else f"{least} or more, no infinity"
            raise LayerscopeError(f"{name} = {value}: give {span}")


def numbered(*what: object) -> int:
    """To draw a picture by, whatever others there are."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:7], "little")


def eight_bits(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] rounded to 256 greys, uint8."""
    return pictures.mul(255).round().clamp(0, 255).byte()
