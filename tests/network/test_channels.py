"""Inputs that are not RGB: any number of channels, their order, a mean image, and how they are shown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import nn

from layerscope.errors import ImageError, LayerscopeError, NetworkError
from layerscope.images.bands import Bands, bands_of
from layerscope.network.mean_image import MeanImage, read_mean_image
from layerscope.network.network import Network
from layerscope.network.preprocessing import CENTRE, IMAGENET, Place, Preprocessing
from layerscope.network.showing import check_shown, mixed, panels_of, words_of
from layerscope.network.source import Options
from layerscope.zoo.blueprint import stated
from layerscope.zoo.loading import load_network
from tests.oracles.network.channels import normalised, side_by_side
from tests.support.pictures import noise, saved

SIZES = [(64, 48), (48, 64), (20, 16), (1, 1), (900, 3), (3, 900), (65_500, 1)]


def prepared(channels: int, **more: object) -> Preprocessing:
    mean = tuple(0.3 + 0.05 * channel for channel in range(channels))
    deviation = tuple(0.2 + 0.03 * channel for channel in range(channels))
    return Preprocessing(20, 16, 18, mean, deviation, **more)  # type: ignore[arg-type]


def drawn(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.5, 0.3, shape).astype(np.float32)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(LayerscopeError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestChannels:
    @pytest.mark.parametrize("size", SIZES)
    def test_three_channels_of_eight_bits_are_seen_as_the_picture(self, size: tuple[int, int]) -> None:
        picture = noise(*size)
        array = bands_of(np.asarray(picture))
        for place in (CENTRE, (0.0, 1.0)):
            assert torch.equal(prepared(3).apply(array, place), prepared(3).apply(picture, place))
        grey = picture.convert("L")
        assert torch.equal(prepared(1).apply(bands_of(np.asarray(grey))), prepared(1).apply(grey))

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("channels", [1, 2, 4, 6])
    def test_any_channels_are_resized_one_by_one(self, channels: int, size: tuple[int, int]) -> None:
        values = drawn(size[1], size[0], channels)
        found = prepared(channels).apply(bands_of(values)).double().numpy()
        expected = normalised(prepared(channels), values, tuple(range(channels)))
        assert np.abs(found - expected).max() < (
            5e-3 if max(size) > 1000 else 1e-4
        )  # Pillow's box is rounded
        assert np.abs(found - expected[::-1]).max() > 1e-2 or channels == 1

    def test_sixteen_bits_are_those_of_eight(self) -> None:
        picture = np.asarray(noise(40, 30))
        deep = prepared(3).apply(bands_of(picture.astype(np.uint16) * 257))
        assert (
            deep - prepared(3).apply(bands_of(picture))
        ).abs().max() < 0.02  # half a level over the deviation

    def test_what_is_resized_before_is_seen_alike(self) -> None:
        for picture in (bands_of(drawn(30, 40, 4)), bands_of(np.asarray(noise(50, 40).convert("CMYK")))):
            preprocessing = prepared(4)
            whole = preprocessing.resized(picture)
            assert whole is not None
            for place in ((0.0, 0.0), (0.3, 0.9)):
                assert torch.equal(preprocessing.apply(whole, place), preprocessing.apply(picture, place))

    @pytest.mark.parametrize("squash", [True, False])
    def test_bicubic_and_squashed(self, squash: bool) -> None:
        preprocessing = prepared(2, interpolation="bicubic", squash=squash)
        values = drawn(33, 47, 2)
        found = preprocessing.apply(bands_of(values))
        assert found.shape == preprocessing.shape
        alone = [
            replace(prepared(1, interpolation="bicubic", squash=squash), mean=(m,), deviation=(d,))
            for m, d in zip(preprocessing.mean, preprocessing.deviation, strict=True)
        ]
        each = [one.apply(bands_of(values[..., [channel]])) for channel, one in enumerate(alone)]
        assert torch.equal(found, torch.cat(each))

    def test_wrong_numbers_of_channels_are_one_line(self) -> None:
        four = bands_of(np.zeros((5, 7, 4), np.uint8))
        assert refused(lambda: IMAGENET.apply(four)).startswith(
            "it has 4 channels (5 x 7 x 4) and the network takes 3;"
        )
        assert refused(lambda: prepared(4).apply(noise())).startswith("it has 3 channels (48 x 64 x 3)")
        assert refused(lambda: prepared(1).apply(four)).startswith("it has 4 channels")
        turned = replace(IMAGENET, order=(0, 5, 1))
        assert "is to see channel 5 of it" in refused(lambda: turned.apply(four))
        with pytest.raises(ImageError):
            turned.apply(noise())


class TestOrder:
    def test_bgr_is_rgb_turned_round(self) -> None:
        picture = noise(50, 40)
        turned = replace(prepared(3), order=(2, 1, 0))
        plain = replace(prepared(3), mean=prepared(3).mean[::-1], deviation=prepared(3).deviation[::-1])
        assert torch.equal(turned.apply(picture), plain.apply(picture).flip(0))
        assert np.array_equal(np.asarray(turned.seen(picture)), np.asarray(plain.seen(picture)))

    @pytest.mark.parametrize("order", [(1,), (5, 0), (3, 3, 0, 1)])
    def test_channels_are_chosen_and_put_in_order(self, order: tuple[int, ...]) -> None:
        values = drawn(30, 40, 6)
        preprocessing = replace(prepared(len(order)), order=order)
        found = preprocessing.apply(bands_of(values)).double().numpy()
        assert np.abs(found - normalised(preprocessing, values, order)).max() < 1e-4

    def test_of_a_picture_in_colour_one_channel_can_be_taken(self) -> None:
        picture = noise(50, 40)
        blue = replace(prepared(1), order=(2,)).apply(picture)
        assert torch.equal(blue, prepared(1).apply(picture.getchannel("B")))

    def test_a_network_of_bgr_up_to_255_gives_what_its_twin_in_rgb_gives(self) -> None:
        torch.manual_seed(0)
        rgb = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)).double()
        caffe = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)).double()
        deviation = torch.tensor(IMAGENET.deviation, dtype=torch.float64)[None, :, None, None]
        state = rgb.state_dict()
        caffe.load_state_dict({**state, "0.weight": (state["0.weight"] / (255 * deviation)).flip(1)})
        options = Options(
            input_size=32,
            mean=tuple(255 * m for m in IMAGENET.mean[::-1]),
            deviation=(1.0,),
            white=255,
            order=(2, 1, 0),
        )
        picture = noise(50, 40)
        results = []
        for module, own in ((rgb, Options(input_size=32)), (caffe, options)):
            network = load_network(module, options=own, dtype=torch.float64)
            values = network.preprocessing.apply(picture)[None]
            results.append(network.representations(values.double(), ["2"])["2"])
        assert (results[0] - results[1]).abs().max() < 1e-5
        assert results[0].abs().max() > 0.1


class TestMeanImage:
    def test_it_is_subtracted_pixel_by_pixel(self) -> None:
        mean, values = drawn(16, 18, 4, seed=1), drawn(30, 40, 4)
        image = MeanImage.of(np.moveaxis(mean, 2, 0))
        preprocessing = replace(prepared(4), mean=image.mean, mean_image=image)
        found = preprocessing.apply(bands_of(values)).double().numpy()
        assert np.abs(found - normalised(preprocessing, values, (0, 1, 2, 3), mean)).max() < 1e-4
        assert np.abs(found - normalised(preprocessing, values, (0, 1, 2, 3))).max() > 0.1

    @pytest.mark.parametrize("place", [CENTRE, (0.0, 0.0), (1.0, 0.25)])
    def test_of_a_whole_square_it_is_seen_where_the_picture_is(self, place: Place) -> None:
        mean = drawn(20, 20, 3)
        image = MeanImage.of(np.moveaxis(mean, 2, 0))
        picture = noise(20, 20)
        preprocessing = Preprocessing(20, 16, 18, image.mean, (1.0,) * 3, mean_image=image)
        plain = Preprocessing(20, 16, 18, (0.0,) * 3, (1.0,) * 3).apply(picture, place)
        top, left = round(4 * place[0]), round(2 * place[1])
        expected = plain.numpy() - np.moveaxis(mean[top : top + 16, left : left + 18], 2, 0)
        assert np.abs(preprocessing.apply(picture, place).numpy() - expected).max() < 1e-6

    def test_a_flat_one_is_the_numbers(self, tmp_path: Path) -> None:
        np.save(tmp_path / "mean.npy", np.broadcast_to(np.array([104.0, 117.0, 124.0]), (224, 224, 3)))
        one = stated(IMAGENET, Options(mean=str(tmp_path / "mean.npy"), white=255, order=(2, 1, 0)))
        numbers = stated(IMAGENET, Options(mean=(104.0, 117.0, 124.0), white=255, order=(2, 1, 0)))
        picture = noise(300, 260)
        assert (one.apply(picture) - numbers.apply(picture)).abs().max() < 1e-4  # of values up to 255
        assert np.allclose(one.mean, numbers.mean)
        assert one.about()["mean_image"] == one.mean_image.digest  # type: ignore[union-attr]

    def test_files(self, tmp_path: Path) -> None:
        mean = np.random.default_rng(0).integers(0, 256, (16, 18, 3)).astype(np.uint8)
        levels = mean / 255
        np.save(tmp_path / "last.npy", mean.astype(np.float32))
        np.save(tmp_path / "first.npy", np.moveaxis(mean, 2, 0).astype(np.float64))
        np.save(tmp_path / "whole.npy", mean)
        saved(Image.fromarray(mean), tmp_path / "mean.png")
        sizes = ((16, 18),)
        for name in ("last", "first", "whole"):
            found = read_mean_image(tmp_path / f"{name}.npy", 3, sizes, None, 255.0).values
            assert np.allclose(found, np.moveaxis(levels, 2, 0))
        turned = read_mean_image(tmp_path / "mean.png", 3, sizes, (2, 1, 0), 1.0).values
        assert np.allclose(turned, np.moveaxis(levels[..., ::-1], 2, 0))
        grey = read_mean_image(tmp_path / "mean.png", 1, sizes, None, 1.0).values
        assert np.allclose(grey[0] * 255, np.asarray(Image.fromarray(mean).convert("L")))

    def test_faults(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros((10, 10, 3)))
        np.save(tmp_path / "b.npy", np.full((224, 224, 3), np.nan))
        saved(noise(224, 224), tmp_path / "c.png")
        for name, preprocessing, why in (
            (
                "a.npy",
                IMAGENET,
                "is 10x10x3 (height, width, channels), and the input takes 224x224x3 or 256x256x3",
            ),
            ("b.npy", IMAGENET, "150528 of 150528 values are NaN"),
            ("c.png", replace(IMAGENET, mean=(0.0,) * 4, deviation=(1.0,) * 4), "is 224x224x3"),
            ("d.npy", IMAGENET, "cannot be opened"),
        ):
            options = Options(mean=str(tmp_path / name), white=1)
            assert why in refused(lambda p=preprocessing, o=options: stated(p, o))  # type: ignore[misc]

    def test_pixels_come_back(self) -> None:
        image = MeanImage.of(np.moveaxis(drawn(16, 18, 3), 2, 0))
        picture = noise(18, 16)
        preprocessing = Preprocessing(None, 16, 18, image.mean, (0.3,) * 3, mean_image=image)
        assert np.array_equal(preprocessing.picture(preprocessing.apply(picture)), np.asarray(picture))
        other = preprocessing.normalised(torch.ones(3, 4, 4))  # of another size: its mean in each channel
        assert torch.allclose(other[:, 0, 0], (1 - torch.tensor(image.mean)) / 0.3)


class TestShown:
    def test_each_in_grey_beside_each_other(self) -> None:
        for channels in (2, 4, 5, 6, 9):
            values = drawn(3, 5, channels)
            assert np.array_equal(panels_of(values, None, None), side_by_side(values))
            assert np.array_equal(panels_of(values, "grey", None), side_by_side(values))
            assert np.allclose(mixed(values, None, None)[..., 0], values.mean(axis=2))
        levels = np.array([[[0, 1, 1, 1], [255, 255, 255, 255]]], np.uint8)
        assert mixed(levels, "grey", None).tolist() == [[[1], [255]]]

    def test_three_or_one(self) -> None:
        values = drawn(3, 5, 6)
        for draw in (mixed, panels_of):
            assert np.array_equal(draw(values, (3, 0, 5), None), values[..., [3, 0, 5]])
            assert np.array_equal(draw(values, (4,), None), values[..., [4]])
            assert draw(values[..., :3], None, None) is not None
            assert np.array_equal(draw(values[..., :3], None, (2, 1, 0)), values[..., [2, 1, 0]])
            assert np.array_equal(draw(values[..., :3], None, (1, 2, 0)), values[..., [2, 0, 1]])
            assert np.array_equal(draw(values[..., :3], None, (7, 8, 9)), values[..., :3])
            assert np.array_equal(draw(values[..., :1], None, None), values[..., :1])
        assert np.array_equal(panels_of(values[..., :3], "grey", None), side_by_side(values[..., :3]))

    def test_what_is_seen_is_what_the_input_shows(self) -> None:
        picture = bands_of(np.random.default_rng(0).integers(0, 256, (30, 40, 6)).astype(np.uint8))
        for shown in (None, "grey", (4, 0, 1), (2,)):
            preprocessing = replace(prepared(6), shown=shown)
            values = preprocessing.apply(picture)
            levels = preprocessing.one(preprocessing.picture(values))
            expected = np.broadcast_to(levels, (*levels.shape[:2], 3))
            assert np.array_equal(np.asarray(preprocessing.seen(picture)), expected)

    def test_a_range_is_from_black_to_white(self) -> None:
        values = np.array([[[0.0, 1000.0], [2000.0, -50.0]]], np.float32)
        preprocessing = Preprocessing(None, 1, 2, (900.0, 800.0), (500.0, 400.0), shown_range=(0.0, 2000.0))
        seen = preprocessing.picture(preprocessing.apply(bands_of(values)))
        assert seen.tolist() == [[[0, 128], [255, 0]]]

    def test_words(self) -> None:
        assert words_of(None, None, 3) == words_of(None, None, 1) == ""
        assert words_of(None, None, 4) == "channels 0 to 3, each in grey, row by row"
        assert words_of((2, 1, 0), None, 4) == "red, green, blue: channels 2, 1, 0"
        assert words_of((2,), None, 4) == "grey: channel 2"

    def test_faults(self) -> None:
        for shown in ((4,), (0, 1), (0, 1, 2, 3), (0, 1, 9)):
            assert "cannot be shown: name three of 0 to 3, or one, or grey" in refused(
                lambda shown=shown: check_shown(shown, 4)  # type: ignore[misc]
            )


class TestOptions:
    def test_all_of_them(self) -> None:
        six = Preprocessing(None, 8, 8, (0.0,) * 6, (1.0,) * 6)
        options = Options(
            mean=(10_000.0,),
            deviation=(500.0,),
            white=65_535,
            order=(5, 4, 3, 2, 1, 0),
            shown=(3, 2, 1),
            shown_range=(0.0, 3000.0),
        )
        found = stated(six, options)
        assert found.mean == (10_000 / 65_535,) * 6
        assert found.deviation == (500 / 65_535,) * 6
        assert (found.order, found.shown) == ((5, 4, 3, 2, 1, 0), (3, 2, 1))
        assert found.shown_range == (0.0, 3000 / 65_535)
        again = Options.again({"mean": [1.0], "order": [2, 1, 0], "shown": "grey", "shown_range": [0, 1]})
        assert again == Options(mean=(1.0,), order=(2, 1, 0), shown="grey", shown_range=(0, 1))

    def test_what_is_not_said_is_not_kept(self) -> None:
        assert stated(IMAGENET, Options()) is not None
        assert (
            not {"order", "mean_image", "shown", "shown_range"} & stated(IMAGENET, Options()).about().keys()
        )
        assert not {"order", "shown", "shown_range"} & Options().about().keys()

    def test_faults(self) -> None:
        for options, why in (
            (Options(order=(0, 1)), "order names 2 channels for the 3 of the input"),
            (Options(shown=(0, 1)), "cannot be shown"),
            (Options(shown_range=(1.0, 1.0)), "1 is to be shown as black and 1 as white"),
            (Options(white=0.0), "deviation and white must be above 0"),
        ):
            assert why in refused(lambda options=options: stated(IMAGENET, options))  # type: ignore[misc]
        with pytest.raises(NetworkError):
            stated(IMAGENET, Options(mean=(0.5,)))


def test_a_network_of_six_bands_sees_files_of_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.ReLU())
    network = load_network(module, options=Options(input_size=16))
    assert isinstance(network, Network)
    picture = bands_of(drawn(20, 30, 6))
    assert isinstance(picture, Bands)
    values = network.preprocessing.apply(picture)[None]
    expected = module(values)
    assert torch.allclose(network.representations(values, ["1"])["1"], expected, atol=1e-6)
