"""What a network sees of a picture: its pixels against those of the whole resized, whatever the picture's shape."""

import tracemalloc
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from layerscope.errors import ImageError
from layerscope.network.preprocessing import IMAGENET, Preprocessing
from tests.oracles.network.preprocessing import resized_and_cropped
from tests.support.pictures import noise

Interpolation = Literal["bilinear", "bicubic"]


@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    seen=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    resize=st.one_of(st.none(), st.integers(1, 80)),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    mode=st.sampled_from(["RGB", "L"]),
)
@example((500, 375), (224, 224), 256, "bilinear", "RGB")
@example((375, 500), (224, 224), 256, "bicubic", "RGB")
@example((1, 1), (3, 5), None, "bicubic", "RGB")
@example((300, 1), (7, 5), 9, "bicubic", "RGB")
@example((1, 300), (7, 5), 9, "bilinear", "L")
@example((60, 40), (60, 40), None, "bilinear", "RGB")
@settings(max_examples=60, deadline=None)
def test_the_pixels_are_those_of_the_whole_resized_and_cropped(
    size: tuple[int, int],
    seen: tuple[int, int],
    resize: int | None,
    interpolation: Interpolation,
    mode: str,
) -> None:
    """Noise of the two extremes, which overshoots in bicubic, and of all greys: within a level, seldom two."""
    preprocessing = Preprocessing(resize, *seen, interpolation=interpolation)
    whole = noise(*size, seed=sum(size))
    for picture in (whole.convert(mode), whole.point(lambda grey: 255 * (grey > 127)).convert(mode)):
        ours, theirs = preprocessing.crop(picture), resized_and_cropped(preprocessing, picture)
        assert ours.mode == theirs.mode == mode
        assert ours.size == theirs.size
        assert np.abs(np.asarray(ours).astype(int) - np.asarray(theirs)).max() <= 2


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (4000, 300)])
def test_the_pixels_of_a_photographs_size_are_within_a_grey_level(size: tuple[int, int]) -> None:
    picture = noise(*size)
    ours, theirs = IMAGENET.crop(picture), resized_and_cropped(IMAGENET, picture)
    apart = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs))
    assert apart.max() <= 1
    assert apart.mean() < 0.02


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 1)])
def test_a_flat_picture_stays_flat(colour: tuple[int, int, int]) -> None:
    seen = np.asarray(IMAGENET.crop(Image.new("RGB", (317, 451), colour)))
    assert (seen == colour).all()


@pytest.mark.parametrize("mean", [(0.4,), (0.485, 0.456, 0.406)])
def test_the_input_is_each_grey_less_the_mean_over_the_deviation(mean: tuple[float, ...]) -> None:
    deviation = (0.25, 0.224, 0.225)[: len(mean)]
    preprocessing = Preprocessing(20, 16, 18, mean, deviation)
    picture = noise(31, 47)
    seen = np.asarray(preprocessing.crop(picture.convert("L" if len(mean) == 1 else "RGB"))).reshape(
        16, 18, -1
    )
    greys = seen.astype(np.float32) / np.float32(255)
    expected = (greys - np.array(mean, np.float32)) / np.array(deviation, np.float32)
    assert np.array_equal(preprocessing.apply(picture).numpy(), expected.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "LA", "1"])
def test_other_modes_are_seen_as_rgb(mode: str) -> None:
    picture = noise(50, 40).convert(mode)
    assert np.array_equal(
        np.asarray(IMAGENET.crop(picture)), np.asarray(IMAGENET.crop(picture.convert("RGB")))
    )


@pytest.mark.parametrize("size", [(2_000_000, 1), (1, 2_000_000), (65_500, 1), (8_000, 1)])
def test_a_long_thin_picture_costs_no_more_than_what_is_seen_of_it(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (9, 8, 7))
    IMAGENET.crop(noise(3, 3))
    tracemalloc.start()
    seen = IMAGENET.crop(picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (np.asarray(seen) == (9, 8, 7)).all()
    assert peak < 4_000_000


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="0 x 5: it has no pixels; leave it out"):
        IMAGENET.apply(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_many_at_once_are_to_the_bit_what_each_is(kind: type[np.generic], channels: int) -> None:
    random = np.random.default_rng(0)
    own = tuple(random.random(channels).tolist()), tuple((0.1 + random.random(channels)).tolist())
    preprocessing = Preprocessing(None, 5, 7, *own)
    for count in (1, 4):
        pixels = (random.random((count, channels, 5, 7)) * 255).astype(kind)
        mirrored = np.arange(count) % 2 == 1
        last = pixels.transpose(0, 2, 3, 1).copy()
        found = preprocessing.values_of_many(last, mirrored, np.full(last.shape, np.nan, np.float32))
        each = torch.stack([preprocessing.values(one) for one in pixels])
        for ours, own_values, turned in zip(found, each, mirrored, strict=True):
            assert torch.equal(ours, own_values.flip(2) if turned else own_values)
        assert found.is_contiguous(memory_format=torch.channels_last)
        greys = torch.from_numpy(pixels).float() / (255 if kind is np.uint8 else 1)
        mean, deviation = (torch.tensor(numbers)[:, None, None] for numbers in own)
        assert torch.equal(each, (greys - mean) / deviation)
