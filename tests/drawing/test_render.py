"""What a pixel of a panel means, and that a panel's file comes back as it was."""

import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from layerscope.choices import DISPLAYS
from layerscope.drawing.render import Signal, is_whole_png, read_png, show_signal, write_png
from layerscope.errors import DisplayError, ImageError, LayerscopeError

GREY = 128  # half of 255, rounded


def noise(height: int = 9, width: int = 7, channels: int = 3, seed: int = 0) -> Signal:
    return np.random.default_rng(seed).normal(size=(height, width, channels)).astype(np.float32)


def naive_percentile(values: list[float], percentile: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * percentile / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def naive_signed(signal: Signal, scale: float) -> np.ndarray:
    """The signed display, value by value."""
    pixels = np.zeros((*signal.shape[:2], 3), np.uint8)
    for row, column, channel in np.ndindex(*signal.shape[:2], 3):
        value = float(signal[row, column, channel])
        share = 0.5 + 0.5 * max(-1.0, min(1.0, value / scale))
        pixels[row, column, channel] = math.floor(255 * share + 0.5)
    return pixels


def test_signed_agrees_with_the_naive_twin() -> None:
    signal = noise()
    panel = show_signal(signal)
    scale = naive_percentile([abs(float(value)) for value in signal.ravel()], 99.5)
    assert panel.scale == pytest.approx(scale)
    assert panel.black == pytest.approx(-scale)
    assert np.abs(panel.pixels.astype(int) - naive_signed(signal, scale)).max() <= 1
    assert (panel.pixels == naive_signed(signal, scale)).mean() > 0.99


def test_signed_puts_zero_at_mid_grey_and_the_scale_at_the_ends() -> None:
    signal = np.array([[0.0, 2.0, -2.0, 1.0, -1.0, 50.0, -50.0]])[..., None]
    panel = show_signal(signal, scale=2.0)
    assert panel.pixels[0, :, 0].tolist() == [GREY, 255, 0, 191, 64, 255, 0]
    assert panel.pixels.shape == (1, 7, 3)
    assert panel.pixels.dtype == np.uint8


def test_signed_keeps_the_channels_apart() -> None:
    signal = np.zeros((1, 1, 3), np.float32)
    signal[0, 0] = (1, 0, -1)
    assert show_signal(signal).pixels[0, 0].tolist() == [255, GREY, 0]


@settings(deadline=None)
@given(arrays(np.float32, (4, 3, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_the_opposite_signal_is_the_negative_picture(signal: Signal) -> None:
    there, back = show_signal(signal), show_signal(-signal)
    assert set(np.unique(there.pixels.astype(int) + back.pixels)) <= {255, 256}
    assert there.scale == back.scale


def test_an_outlier_does_not_cost_the_contrast_of_signed_but_of_minmax() -> None:
    signal = noise(40, 40)
    spoiled = signal.copy()
    spoiled[0, 0, 0] = 1e6
    change = {
        display: np.abs(
            show_signal(signal, display).pixels[1:].astype(int) - show_signal(spoiled, display).pixels[1:]
        ).max()
        for display in ("signed", "minmax")
    }
    assert change["signed"] <= 3
    assert change["minmax"] > 100


def test_a_signal_that_is_zero_nearly_everywhere_keeps_its_contrast() -> None:
    signal = np.zeros((224, 224, 3), np.float32)
    signal[100:103, 100:103] = 0.25
    panel = show_signal(signal)
    assert panel.scale == 0.25
    assert (panel.pixels[101, 101] == 255).all()
    assert (panel.pixels[0, 0] == GREY).all()


def test_a_lower_percentile_clips_more() -> None:
    signal = noise(30, 30)
    clipped = [(show_signal(signal, percentile=p).pixels == 255).mean() for p in (100, 90, 50)]
    assert clipped[0] < clipped[1] < clipped[2]


def test_a_shared_scale_makes_panels_comparable() -> None:
    strong, weak = noise(), noise() / 4
    own = [show_signal(signal).pixels for signal in (strong, weak)]
    shared = [show_signal(signal, scale=3.0) for signal in (strong, weak)]
    assert np.array_equal(own[0], own[1])
    assert shared[0].pixels.std() > 3 * shared[1].pixels.std()
    assert [panel.scale for panel in shared] == [3.0, 3.0]
    assert "± 3" in shared[0].rule


def test_minmax_runs_from_black_to_white() -> None:
    panel = show_signal(np.array([[-3.0, 0.0, 5.0]])[..., None], "minmax")
    assert panel.pixels[0, :, 0].tolist() == [0, 96, 255]
    assert (panel.black, panel.scale) == (-3.0, 5.0)


def test_positive_shows_nothing_below_zero() -> None:
    panel = show_signal(np.array([[-9.0, 0.0, 2.0, 4.0]])[..., None], "positive", percentile=100)
    assert panel.pixels[0, :, 0].tolist() == [0, 0, 128, 255]
    assert (panel.black, panel.scale) == (0.0, 4.0)


@pytest.mark.parametrize("channels", [1, 2, 3, 64])
def test_magnitude_is_the_norm_over_channels(channels: int) -> None:
    signal = noise(channels=channels)
    panel = show_signal(signal, "magnitude", percentile=100)
    norms = np.array([[math.sqrt(sum(float(v) ** 2 for v in pixel)) for pixel in row] for row in signal])
    assert panel.scale == pytest.approx(norms.max())
    assert np.abs(panel.pixels[..., 0] - 255 * norms / norms.max()).max() <= 0.51
    assert (panel.pixels == panel.pixels[..., :1]).all()


def test_heat_is_the_magnitude_in_inferno() -> None:
    signal = noise(channels=5)
    grey, heat = show_signal(signal, "magnitude"), show_signal(signal, "heat")
    colours = (np.array(matplotlib.colormaps["inferno"].colors) * 255).round()  # type: ignore[attr-defined]
    assert np.abs(heat.pixels - colours[grey.pixels[..., 0]]).max() <= 1
    assert heat.scale == grey.scale


@pytest.mark.parametrize("display", DISPLAYS)
def test_zeros_have_scale_zero_and_one_colour(display: str) -> None:
    panel = show_signal(np.zeros((5, 4, 3), np.float32), display)
    expected = {"signed": GREY, "minmax": GREY, "positive": 0, "magnitude": 0}
    assert panel.scale == 0
    assert panel.black == 0
    if display == "heat":
        assert len(np.unique(panel.pixels.reshape(-1, 3), axis=0)) == 1
        assert panel.pixels.max() < 10
    else:
        assert (panel.pixels == expected[display]).all()


@pytest.mark.parametrize(
    ("display", "level"), [("signed", 0), ("minmax", GREY), ("positive", 0), ("magnitude", 255)]
)
def test_a_constant_has_a_defined_picture(display: str, level: int) -> None:
    assert (show_signal(np.full((5, 4, 3), -2.5), display).pixels == level).all()


def test_showing_leaves_the_signal_alone() -> None:
    signal = noise()
    before = signal.copy()
    for display in DISPLAYS:
        show_signal(signal, display)
    assert np.array_equal(signal, before)


def test_nan_and_infinity_are_counted() -> None:
    signal = noise()
    signal[0, 0, 0] = np.nan
    signal[1, 1] = np.inf
    with pytest.raises(DisplayError, match=r"1 NaN and 3 infinite of 189 values"):
        show_signal(signal)


@pytest.mark.parametrize("display", ["signed", "minmax", "positive"])
def test_many_channels_are_sent_to_magnitude(display: str) -> None:
    with pytest.raises(DisplayError, match=r"has 7; use magnitude or heat, or put the axes in the order"):
        show_signal(np.zeros((3, 5, 7)), display)


@pytest.mark.parametrize(
    ("signal", "options", "line"),
    [
        (np.zeros((4, 4)), {}, r"\(height, width, channels\).*float64 \(4, 4\)"),
        (np.zeros((0, 4, 3)), {}, r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), {}, "float array.*uint8"),
        (np.zeros((4, 4, 3)), {"display": "jet"}, "'jet'; choose one of signed, minmax"),
        (np.zeros((4, 4, 3)), {"percentile": 0}, "percentile is 0"),
        (np.zeros((4, 4, 3)), {"percentile": math.nan}, "percentile is nan"),
        (np.zeros((4, 4, 3)), {"scale": -1.0}, "scale is -1"),
        (np.zeros((4, 4, 3)), {"scale": math.inf}, "scale is inf"),
        (np.ones((4, 4, 3)), {"scale": 0.0}, "scale is 0 but the signal is not"),
        (np.zeros((4, 4, 3)), {"scale": 1.0, "display": "minmax"}, "minmax takes its range from each panel"),
    ],
)
def test_what_cannot_be_shown_is_one_line(signal: Signal, options: dict[str, object], line: str) -> None:
    with pytest.raises(DisplayError, match=line) as caught:
        show_signal(signal, **options)  # type: ignore[arg-type]
    assert isinstance(caught.value, LayerscopeError)
    assert "\n" not in str(caught.value)


def test_a_panel_file_explains_itself(tmp_path: Path) -> None:
    panel = show_signal(noise(), "signed")
    write_png(tmp_path / "c1.png", panel.pixels, panel.text)
    pixels, text = read_png(tmp_path / "c1.png")
    assert np.array_equal(pixels, panel.pixels)
    assert text["display"] == "signed"
    assert float(text["scale"]) == panel.scale
    assert float(text["black"]) == -panel.scale
    assert text["meaning"].startswith("signed: mid-grey is 0, white and black are ±")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_there_and_back(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 5, channels), np.uint8)
    text = {"name": "naïve ± 猫\nsecond line"}
    write_png(tmp_path / "p.png", pixels, text)
    assert np.array_equal(read_png(tmp_path / "p.png")[0], pixels)
    assert read_png(tmp_path / "p.png")[1] == text


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_png(tmp_path / name, show_signal(noise()).pixels, {"display": "signed"})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3))]
)
def test_only_pixels_are_written(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(DisplayError, match="uint8 array"):
        write_png(tmp_path / "p.png", pixels)
    assert list(tmp_path.iterdir()) == []


def test_a_png_cut_short_anywhere_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    assert not is_whole_png(path)
    assert not is_whole_png(tmp_path)
    write_png(path, np.zeros((2, 2, 3), np.uint8))
    assert is_whole_png(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert not is_whole_png(path)
    path.write_bytes(b"?" + content[1:])
    assert not is_whole_png(path)


@pytest.mark.parametrize("content", [None, b"", b"GIF89a", "half", "flipped"])
def test_what_is_no_png_is_named(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "p.png"
    write_png(path, np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    whole = path.read_bytes()
    cut = {"half": whole[: len(whole) // 2], "flipped": whole[:60] + b"????" + whole[64:]}
    if content is None:
        path.unlink()
    else:
        path.write_bytes(cut[content] if isinstance(content, str) else content)
    with pytest.raises(ImageError, match=r"cannot read .*p\.png as a PNG"):
        read_png(path)


def test_a_png_of_another_kind_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ImageError, match="mode I;16"):
        read_png(tmp_path / "deep.png")
