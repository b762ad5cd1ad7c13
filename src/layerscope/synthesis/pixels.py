"""Pictures that are optimised: as Fourier coefficients in decorrelated colour, or pixel by pixel.

Source: Olah, Mordvintsev, Schubert 2017, Feature Visualization, distill.pub: with all frequencies of equal size at
the start and colours as they vary in photographs, gradient ascent reaches shapes before it reaches noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Prior = Literal["none", "fourier", "study"]

_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))
"""Red, green and blue along the three directions in which colours of photographs vary, by how much: a root of their
covariance over ImageNet's training pictures, as Olah et al. give it."""
_LARGEST = 0.4619524  # the longest of its columns, to which all are scaled
_START = 0.01  # deviation of the coefficients at the start
_CONTRAST = 4.0  # by which a coefficient is divided, for a rate near that of other parameters


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pictures (rows, channels, height, width) in (0, 1), as what is changed to change them."""

    prior: Prior
    parameters: Tensor  #: a leaf
    height: int
    width: int

    @classmethod
    def drawn(cls, prior: Prior, shape: tuple[int, int, int], seeds: Sequence[int]) -> Pixels:
        """Nearly grey pictures (channels, height, width), one by each seed, whatever others there are."""
        channels, height, width = shape
        form = shape if prior == "none" else (channels, height, width // 2 + 1, 2)
        rows = [torch.randn(form, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return cls(prior, (torch.stack(rows) * _START).requires_grad_(), height, width)

    def pictures(self) -> Tensor:
        """As they are now."""
        if self.prior == "none":
            return torch.sigmoid(self.parameters)
        spectrum = torch.view_as_complex(self.parameters) * self._sizes()
        waves = torch.fft.irfft2(spectrum, s=(self.height, self.width), norm="ortho") / _CONTRAST
        if waves.shape[1] == len(_COLOURS):
            waves = torch.einsum("nchw,dc->ndhw", waves, waves.new_tensor(_COLOURS) / _LARGEST)
        return torch.sigmoid(waves)

    def _sizes(self) -> Tensor:
        """By what each frequency is multiplied: one over it, as in photographs."""
        down = torch.fft.fftfreq(self.height)[:, None]
        across = torch.fft.rfftfreq(self.width)
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
    """The pictures in 8 bits, changed so that the loss of (step, pictures) falls; ``done`` is told of each step."""
    descent = torch.optim.Adam([pixels.parameters], pace.rate)
    for step in range(pace.steps):
        descent.param_groups[0]["lr"] = pace.rate_at(step)
        descent.zero_grad()
        loss(step, pixels.pictures()).backward()  # type: ignore[no-untyped-call]
        descent.step()
        done()
    return eight_bits(pixels.pictures().detach())


def numbered(*what: object) -> int:
    """To draw a picture by, whatever others there are."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:7], "little")


def eight_bits(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] rounded to 256 greys, uint8."""
    return pictures.mul(255).round().clamp(0, 255).byte()
