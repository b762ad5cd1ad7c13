"""That words fit where they stand, and that a page is as wide as its picture."""

import numpy as np

from layerscope.drawing.canvas import (
    Page,
    broken,
    drawable,
    fitted,
    page_image,
    shortened,
    size_for_names,
    text_width,
)


def test_words_are_fitted_first_by_size_then_by_an_ellipsis() -> None:
    name = "layer4.2.downsample"
    assert fitted(name, 500, 8) == (name, 8)
    whole, size = fitted(name, 60, 8)
    assert (whole, size < 8) == (name, True)
    assert text_width(name, size) <= 60.01
    cut, size = fitted(name, 20, 8)
    assert cut.endswith("…")
    assert text_width(cut, size) <= 20
    assert shortened(name, text_width(name, 8), 8) == name


def test_words_break_only_where_they_may() -> None:
    assert broken("layer4.2.conv3", 30, 6, 4, r"._") == ["layer4.2", ".conv3"]
    assert broken("a few plain words", 30, 6, 9) == ["a few", "plain", "words"]
    assert broken("one two three four five six", 20, 6, 3) == ["one", "…", "six"]
    assert broken("", 30, 6, 4) == [""]


def test_layer_names_share_a_size_at_which_their_longest_piece_fits() -> None:
    names = ["features.denseblock4.denselayer16.conv2", "c1"]
    size = size_for_names(names, 43, 7)
    assert 4.5 <= size < 7
    assert broken(names[0], 43, size, 4, r"\s._/") == ["features", ".denseblock4", ".denselayer16", ".conv2"]
    assert size_for_names(names, 5, 7) == 4.5
    assert size_for_names([], 5, 7) == 7


def test_letters_that_the_font_lacks_are_boxes() -> None:
    assert drawable("é ± 猫\n$") == "é ± □□$"


def test_a_page_of_any_size_keeps_its_rows() -> None:
    """8.2 inches of 200 pixels are 1639.9999999999998: a row too short would turn upright lines into slanting ones."""
    page = Page(figsize=(8.2, 2.503), dpi=200)
    page.add_axes((0.5, 0, 0.01, 1), facecolor="black").set(xticks=[], yticks=[])
    pixels = np.asarray(page_image(page).convert("L"))
    assert pixels.shape in ((500, 1640), (500, 1639))  # matplotlib 3.11.0 takes the whole pixels alone
    assert (pixels[10:-10, 825:830] == 0).all()
    assert (pixels[10:-10, :800] == 255).all()
