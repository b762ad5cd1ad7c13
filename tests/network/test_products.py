"""Receptive fields of products, of tokens taken apart, and of what reads one position wherever that is."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from layerscope.errors import GeometryError
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from tests.network.test_fields_measured import check, checked
from tests.support.small_networks import Written, conv


def _by_itself(s: Any, x: Tensor) -> Tensor:
    """What is query, key and value at once."""
    y = s.c(x).flatten(2).transpose(1, 2)
    z: Tensor = torch.nn.functional.scaled_dot_product_attention(y, y, y)
    return z.transpose(1, 2).reshape(-1, 4, 8, 8)


def _by_its_square(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    return y @ y


def _masked(s: Any, x: Tensor, turned: bool) -> Tensor:
    """Rows of 8 attend each to itself, by a mask with a number for each two of them, of rows or else of columns."""
    y = s.c(x).permute(0, 2, 3, 1)
    mask = torch.einsum("nhwc,wkc->nhwk", s.d(s.c(x)).permute(0, 2, 3, 1), s.t.view(8, 8, 64)[..., :4])
    mask = mask.transpose(1, 2) if turned else mask
    z: Tensor = torch.nn.functional.scaled_dot_product_attention(y, y, y, attn_mask=mask)
    return z.permute(0, 3, 1, 2)


def _masked_by_keys_of_columns(s: Any, x: Tensor) -> Tensor:
    y = s.c(x).permute(0, 2, 3, 1)
    mask = s.c(x)[:, :1].permute(0, 3, 1, 2)
    z: Tensor = torch.nn.functional.scaled_dot_product_attention(y, y, y, attn_mask=mask)
    return z.permute(0, 3, 1, 2)


def _channels_attended_to(s: Any, x: Tensor) -> Tensor:
    y = s.c(x).flatten(2)
    attended: Tensor = (y @ y.transpose(1, 2)).softmax(-1) @ y
    return s.d(attended.reshape(-1, 4, 8, 8))  # type: ignore[no-any-return]


def _relative_places(s: Any, x: Tensor) -> Tensor:
    """Rows of 8 attend to one another, with a number for each two of them that the query has a say in."""
    y = s.c(x).permute(0, 2, 3, 1)
    scores = torch.einsum("nhwc,nhkc->nhwk", y, y) + torch.einsum(
        "nhwc,wkc->nhwk", y, s.t.view(8, 8, 64)[..., :4]
    )
    z: Tensor = torch.einsum("nhwk,nhkc->nhwc", scores.softmax(-1), y)
    return z.permute(0, 3, 1, 2)


def _tap_along_tokens(s: Any, x: Tensor) -> Tensor:
    y = torch.nn.functional.conv1d(s.c(x).flatten(2), s.t[:6, :4, None])
    return y.reshape(-1, 6, 8, 8)


def _heads_as_pictures(s: Any, x: Tensor) -> Tensor:
    y = torch.nn.functional.conv2d(s.c(x).reshape(-1, 2, 8, 8), s.w[:, :2], stride=2)
    return y.reshape(-1, 4, 3, 3)


def _one_token_more(s: Any, x: Tensor) -> Tensor:
    """Taken apart and put together again, as where only those that have a place are turned."""
    y = s.c(x).flatten(2).transpose(1, 2)
    y = torch.cat([s.t[:1, :4].expand(y.shape[0], 1, 4), y], 1)
    y = torch.cat([y[:, :1], y[:, 1:] * 2], 1)
    z: Tensor = y[:, 1:].transpose(1, 2).reshape(-1, 4, 8, 8)
    return z


def _mixed_kernels(s: Any, x: Tensor) -> Tensor:
    """A kernel for each picture, mixed by what is in it: all see all."""
    y = s.c(x)
    kernels = (y.mean((2, 3)).sigmoid() @ s.t[:4, :36].repeat(1, 4)).view(y.shape[0] * 4, 4, 3, 3)
    y = torch.nn.functional.conv2d(y.reshape(1, y.shape[0] * 4, 8, 8), kernels, padding=1, groups=y.shape[0])
    z: Tensor = y.permute(1, 0, 2, 3).reshape(x.shape[0], 4, 8, 8)
    return z


ATTENDED: dict[str, tuple[Any, str]] = {
    "kernels mixed for each picture": (_mixed_kernels, "8/0"),
    "by itself": (_by_itself, "8/0"),
    "by its square": (_by_its_square, "8/0"),
    "masked by the picture": (partial(_masked, turned=False), "5x8/1x0"),
    "channels attended to": (_channels_attended_to, "8/0"),
    "relative places": (_relative_places, "3x8/1x0"),
    "a tap along tokens": (_tap_along_tokens, "3/1"),
    "heads as pictures": (_heads_as_pictures, "5/2"),
    "one token more": (_one_token_more, "3/1"),
}


@pytest.mark.parametrize("name", ATTENDED)
def test_products_and_tokens(name: str) -> None:
    """Of products, of tokens that are taken apart, and of what reads one position wherever that is."""
    forward, field = ATTENDED[name]
    network = checked(forward, c=conv(), d=nn.Conv2d(4, 4, 3, padding=1))
    assert str(network.geometry.fields[network.graph.output]) == field
    if "mixed" in name:
        assert str(network.feature_geometry.fields[network.graph.output]) == "5/1"
        assert [layer.operation for layer in network.layers] == ["conv 3x3", "mean + sigmoid", "conv 3x3"]


@pytest.mark.parametrize("forward", [partial(_masked, turned=True), _masked_by_keys_of_columns])
def test_no_field_is_given_where_a_mask_contradicts_what_it_masks(forward: Any) -> None:
    """Rows attend to themselves, and the mask of each is made of a column."""
    module = Written(forward, c=conv(), d=nn.Conv2d(4, 4, 3, padding=1))
    module.t = nn.Parameter(torch.rand(64, 64))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    with pytest.raises(GeometryError, match="no receptive field is known"):
        check(network, module, [""])
