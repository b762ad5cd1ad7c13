"""Networks that see pictures as they are: read again for each size, cropped to a whole number of strides."""

from __future__ import annotations

from dataclasses import replace
from math import lcm

from layerscope.errors import ImageError, NetworkError
from layerscope.network.network import Network
from layerscope.zoo.loading import load_network

MOST_PIXELS = (
    4_000_000  #: of a picture that is not made smaller: its reconstructions take some hundred times as much
)


def native_network(network: Network, sides: tuple[int, int]) -> Network:
    """The network for pictures of a height and width, of which it sees the middle, as large as its strides allow.

    Raises ImageError, with the reason alone, for a picture that is too small for a layer or of more than MOST_PIXELS;
    NetworkError for a network that has layers of a fixed size, or that was given as a module.
    """
    strides = strides_of(network)
    height, width = (side // stride * stride for side, stride in zip(sides, strides, strict=True))
    if not height * width:
        raise ImageError(
            f"{sides[1]} x {sides[0]} is less than a stride of {network.name}, {strides[1]} x {strides[0]} pixels; "
            "give a size by --input-size, or leave it out"
        )
    if height * width > MOST_PIXELS:
        raise ImageError(
            f"{sides[1]} x {sides[0]} has over {MOST_PIXELS:,} pixels, too many to be seen as they are; give a size by "
            "--input-size, or leave it out"
        )
    if network.preprocessing.mean_image is not None:
        raise NetworkError(
            f"{network.name} subtracts a mean image, which is of one size; give --mean numbers, or a size"
        )
    if (height, width) == network.input_shape[1:] and sides == (height, width):
        return _as_they_are(network, network, sides)
    return _as_they_are(_read_again(network, (height, width)), network, sides)


def strides_of(network: Network) -> tuple[int, int]:
    """Rows and columns of the input that are a whole number of steps of every layer that has positions."""
    steps = [
        layer.field.stride for layer in network.layers if layer.field is not None and layer.has_positions
    ]
    rows, columns = (lcm(*(max(1, step[axis]) for step in steps)) for axis in range(2))
    return rows, columns


def _as_they_are(found: Network, network: Network, sides: tuple[int, int]) -> Network:
    """The network with pictures cut out in their own size, which no resizing changes."""
    prepared = replace(
        network.preprocessing,
        height=found.input_shape[1],
        width=found.input_shape[2],
        resize=min(sides),
        squash=False,
    )
    return replace(found, name=network.name, preprocessing=prepared)


def _read_again(network: Network, size: tuple[int, int]) -> Network:
    if network.loading is None:
        raise NetworkError(
            f"{network.name} was given as a module; load it by its name to see pictures as they are"
        )
    fixed = f"{network.name} cannot see pictures as they are, for it has layers of a fixed size"
    try:
        found = _loaded(network, size)
    except NetworkError as error:
        if _sees_other_sizes(network, size):
            raise ImageError(
                f"{size[1]} x {size[0]} is too small for {network.name}; give a size by --input-size, or leave it out"
            ) from error
        raise NetworkError(f"{fixed} ({error}); leave --input-size native out") from error
    if changed := _other_shapes(network, found):
        raise NetworkError(f"{fixed} ({changed}); leave --input-size native out")
    return found


def _loaded(network: Network, size: tuple[int, int]) -> Network:
    loading = network.loading
    assert loading is not None
    options = replace(loading.options, input_size=size)
    return load_network(
        loading.spec, loading.weights, options=options, device=network.device, dtype=network.dtype
    )


def _sees_other_sizes(network: Network, refused: tuple[int, int]) -> bool:
    """Whether a network that cannot see pictures of a size sees larger ones than its own."""
    own = network.input_shape[1:]
    if refused[0] >= own[0] and refused[1] >= own[1]:
        return False
    rows, columns = strides_of(network)
    try:
        _loaded(network, (own[0] + rows, own[1] + columns))
    except NetworkError:
        return False
    return True


def _other_shapes(one: Network, other: Network) -> str:
    """The first tensor that is not of one shape in both; "" if all are."""
    shapes = [{name: tuple(tensor.shape) for name, tensor in n.graph.tensors.items()} for n in (one, other)]
    return next(
        (name for name in {**shapes[0], **shapes[1]} if shapes[0].get(name) != shapes[1].get(name)), ""
    )
