"""Bands that would be read as something else: of several kinds, of no data, in shards one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layerscope.images.bands import bands_of
from layerscope.images.decoding import load_picture
from layerscope.images.sets import open_images
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.suiting import check_channels
from tests.support.image_sources import encoded, fault, shard


@pytest.mark.parametrize(
    ("one", "other"), [("uint16", "float32"), ("float64", "uint16"), ("uint8", "uint16")]
)
def test_bands_of_which_one_is_scaled_and_another_is_not(tmp_path: Path, one: str, other: str) -> None:
    """65535 of 16 bits is 1, and a float is what it is: side by side they would be of two scales."""
    for name, kind in (("a", one), ("b", other)):
        np.save(tmp_path / f"{name}.npy", np.ones((3, 4), kind))
    kinds = [kind.replace("float64", "float32") for kind in (other, one)]
    said = f"band b has numbers {kinds[0]} and band a {kinds[1]}; save all bands alike"
    assert said in fault(lambda: load_picture(tmp_path / "{a,b}.npy"))


def test_floats_of_two_precisions_are_alike(tmp_path: Path) -> None:
    for name, kind in (("a", "float64"), ("b", "float16")):
        np.save(tmp_path / f"{name}.npy", np.full((3, 4), 0.5, kind))
    found = load_picture(tmp_path / "{a,b}.npy")
    assert np.array_equal(np.asarray(getattr(found, "values", None)), np.full((3, 4, 2), 0.5))


@pytest.mark.parametrize("value", [-3.4028234663852886e38, 3e30])
def test_what_stands_for_no_data_is_no_value(value: float) -> None:
    """As GDAL writes it in floats: over a deviation it would be infinite, and end a whole run."""
    values = np.zeros((2, 3, 2), np.float32)
    assert bands_of(values + np.float32(1e30)).channels == 2
    values[1, 2, 0] = value
    assert fault(lambda: bands_of(values)).startswith(
        "1 of 12 values are beyond 1e+30, as what stands for no data is"
    )


def test_bands_of_a_sample_in_a_shard_are_to_be_one_file(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    members = {f"1.{band}.png": encoded(n) for n, band in enumerate(("B02", "B03"))}
    said = fault(lambda: open_images(shard(tmp_path / "a.tar", members)))
    assert said.endswith("; keep one of each, and bands in one file, .npy or TIFF of a page per band")


def test_bands_that_are_samples_of_a_shard_suit_no_network_of_several(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    four = {"net": Preprocessing(mean=(0.5,) * 4, deviation=(1.0,) * 4)}
    images = open_images(shard(tmp_path / "a.tar", {f"1_{n}.png": encoded(n) for n in range(2)}))
    said = fault(lambda: check_channels(images, four))
    assert said.endswith("; in shards a picture is one file, not one for each band")


def test_a_shard_given_as_a_picture(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"1.png": encoded(1)})
    assert "a tar shard, which `study`, `evaluate` and `train` read" in fault(lambda: load_picture(path))


def test_channels_that_come_first_are_told(tmp_path: Path) -> None:
    four = Preprocessing(mean=(0.5,) * 4, deviation=(1.0,) * 4)
    assert four.misfit(bands_of(np.zeros((4, 9, 7)))).endswith("; if its channels come first, move them last")
    assert "channels come first" not in four.misfit(bands_of(np.zeros((5, 9, 7))))
