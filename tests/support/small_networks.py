"""Small modules that write the same operations in all the ways people do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Written(nn.Module):
    """A module with these parts, and a function of (module, pictures) for its forward."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        self.written = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, pictures: Tensor) -> Any:
        return self.written(self, pictures)


def conv(inputs: int = 3, outputs: int = 4, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


def shrunk(module: nn.Module) -> nn.Module:
    """The same network, still without values, AlexNet's and VGG's huge hidden layers made small."""
    for part in module.modules():
        if isinstance(part, nn.Linear) and 4096 in part.weight.shape:
            outputs, inputs = (8 if n == 4096 else n for n in part.weight.shape)
            part.weight = nn.Parameter(torch.empty(outputs, inputs, device="meta"))
            part.bias = nn.Parameter(torch.empty(outputs, device="meta"))
    return module


def _aliased(s: Any, x: Tensor) -> Tensor:
    a: Tensor = s.c(x)
    b = a
    a += 1  # b too
    return a * b


def _residual(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    z: Tensor = s.d(F.relu(y))
    z += y
    return F.relu_(z)


def _chained_in_place(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    z = y.add_(0.5).relu_().mul_(2)
    return y + z


def _relu_of_one_half(s: Any, x: Tensor) -> Tensor:
    a, b = s.c(x).chunk(2, dim=1)
    return torch.cat([a.relu_(), b], dim=1)


def _view_kept_while_rectified(s: Any, x: Tensor) -> Tensor:
    """The reader may rectify in place only what nothing else shares."""
    y: Tensor = s.c(x)
    kept = y[:, :2]
    return torch.cat([kept, F.relu(y)], dim=1)


def _flat_view_kept_while_rectified(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    kept = y.flatten(1)
    return kept - F.relu(y).flatten(1)


def _shuffled(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    batch, channels, height, width = y.size()
    y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
    return F.relu(y.view(batch, -1, height, width))


def _dropped_but_shared(s: Any, x: Tensor) -> Tensor:
    """Dropout at inference hands on the very tensor: what happens to it happens to its source."""
    y: Tensor = s.c(x)
    z = F.dropout(y, training=False)
    z.relu_()
    return y


def _cloned(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    z = y.clone()
    z.relu_()
    return y - z


def _constant_made_in_forward(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    return y + torch.arange(4.0).view(1, 4, 1, 1) * torch.full((4, 1, 1), 0.5)


def _gated(s: Any, x: Tensor) -> Tensor:
    y = F.relu(s.c(x))
    gate: Tensor = torch.sigmoid(s.d(y.mean((2, 3), keepdim=True)))
    return y * gate


SMALL: dict[str, nn.Module] = {
    "functional relu": Written(lambda s, x: F.relu(s.c(x)), c=conv()),
    "relu as a method": Written(lambda s, x: s.c(x).relu(), c=conv()),
    "torch.relu_": Written(lambda s, x: torch.relu_(s.c(x)), c=conv()),
    "in-place relu": nn.Sequential(conv(), nn.ReLU(inplace=True), conv(4, 4), nn.ReLU(inplace=True)),
    "add_": Written(lambda s, x: s.c(x).add_(s.d(x)), c=conv(), d=conv()),
    "add_ with alpha": Written(lambda s, x: s.c(x).add_(s.d(x), alpha=2), c=conv(), d=conv()),
    "sub with alpha": Written(lambda s, x: torch.sub(s.c(x), s.d(x), alpha=0.5), c=conv(), d=conv()),
    "hardtanh_": Written(lambda s, x: F.hardtanh_(s.c(x), 0.0, 0.2), c=conv()),
    "relu6": nn.Sequential(conv(), nn.ReLU6(inplace=True)),
    "clamp_": Written(lambda s, x: s.c(x).clamp_(0, 0.3), c=conv()),
    "x += y": Written(_residual, c=conv(), d=conv(4, 4)),
    "two names of one tensor": Written(_aliased, c=conv()),
    "a chain in place": Written(_chained_in_place, c=conv()),
    "chunk, half in place": Written(_relu_of_one_half, c=conv()),
    "split": Written(lambda s, x: torch.cat(s.c(x).split([1, 3], dim=1)[::-1], dim=1), c=conv()),
    "split from the end": Written(lambda s, x: torch.cat(s.c(x).split(3, dim=-3)[::-1], dim=1), c=conv()),
    "view of part kept": Written(_view_kept_while_rectified, c=conv()),
    "flat view kept": Written(_flat_view_kept_while_rectified, c=conv()),
    "channels shuffled": Written(_shuffled, c=conv()),
    "view with the batch size": Written(
        lambda s, x: s.f(s.c(x).view(x.size(0), -1)), c=conv(), f=nn.Linear(256, 5)
    ),
    "view with -1": Written(lambda s, x: s.f(s.c(x).view(-1, 256)), c=conv(), f=nn.Linear(256, 5)),
    "dropout that shares": Written(_dropped_but_shared, c=conv()),
    "clone": Written(_cloned, c=conv()),
    "constants": Written(_constant_made_in_forward, c=conv()),
    "float()": Written(lambda s, x: s.c(x).float(), c=conv()),
    "gate": Written(_gated, c=conv(), d=nn.Conv2d(4, 4, 1)),
    "crop": Written(lambda s, x: s.c(x)[:, :, 1:-1:2, -3:], c=conv()),
    "zero pads": nn.Sequential(nn.ZeroPad2d((1, 2, 3, 0)), conv(), nn.ZeroPad2d((-2, 0, -1, 2))),
    "pads": nn.Sequential(nn.ZeroPad2d((1, 2, 3, 0)), conv(), nn.ReflectionPad2d(1), nn.ReplicationPad2d(2)),
    "circular pads": nn.Sequential(conv(), nn.CircularPad2d((1, 2, 3, 0)), conv(4, 4)),
    "mirrored at the border": nn.Sequential(
        nn.ReflectionPad2d((3, 2, 7, 0)),
        conv(),
        nn.MaxPool2d(2),
        nn.ReplicationPad2d((0, 3, 2, 1)),
        conv(4, 4),
    ),
    "squeezed": Written(lambda s, x: s.p(s.c(x)).squeeze(), c=conv(), p=nn.AdaptiveAvgPool2d(1)),
    "squeezed, then linear": Written(
        lambda s, x: s.f(torch.squeeze(s.p(s.c(x)))), c=conv(), p=nn.AdaptiveAvgPool2d(1), f=nn.Linear(4, 3)
    ),
    "squeezed axis by axis": Written(
        lambda s, x: s.p(s.c(x)).squeeze(-1).squeeze(-1), c=conv(), p=nn.AdaptiveAvgPool2d(1)
    ),
    "squeezed in place, and back": Written(
        lambda s, x: s.d(s.p(s.c(x)).squeeze_((2, 3)).unsqueeze(-1)[..., None]),
        c=conv(),
        d=nn.Conv2d(4, 2, 1),
        p=nn.AdaptiveAvgPool2d(1),
    ),
    "pooled": nn.Sequential(
        conv(), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3)
    ),
    "dilated in groups": nn.Sequential(
        nn.Conv2d(3, 6, 3, padding="same", dilation=2, groups=3, padding_mode="reflect")
    ),
    "batch norm": nn.Sequential(conv(), nn.BatchNorm2d(4), nn.PReLU(), nn.Dropout2d()),
    "no parameters": nn.Sequential(nn.MaxPool2d(2), nn.ReLU()),
    "one value of a dictionary": Written(lambda s, x: {"maps": s.c(x)}["maps"], c=conv()),
    "the picture itself": nn.Identity(),
}


def reused() -> nn.Module:
    """One ReLU and one pool, each used three times."""
    relu, pool = nn.ReLU(inplace=True), nn.MaxPool2d(2)

    def forward(s: Any, x: Tensor) -> Tensor:
        y: Tensor = s.pool(s.relu(s.a(x)))
        y = s.pool(s.relu(s.b(y)))
        return s.pool(s.relu(s.c(y)))  # type: ignore[no-any-return]

    return Written(forward, a=conv(), b=conv(4, 6), c=conv(6, 5), relu=relu, pool=pool)


SMALL["reused"] = reused()
