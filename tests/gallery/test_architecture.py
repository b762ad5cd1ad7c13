"""That the figure of a network holds its layers, their numbers and their connections, legibly."""

from itertools import pairwise

import pytest
from matplotlib.patches import PathPatch

from layerscope.errors import DisplayError
from layerscope.gallery.architecture import ArchitectureLayer, architecture_figure
from tests.support.looking import chain, faces, meeting, on_page, outside, texts, wires, words


def residual(blocks: int) -> list[ArchitectureLayer]:
    layers, last = [], "input"
    for n in range(blocks):
        side, first, second = max(1, 224 >> n // 4), f"layer{n}.conv1", f"layer{n}.downsample.0"
        layers += [
            ArchitectureLayer(first, "conv 3x3", 2048, side, side, f"{n}/16", (last,)),
            ArchitectureLayer(second, "depthwise conv 3x3/2", 128, side, side, "?", (first,)),
            ArchitectureLayer(f"layer{n}", "add", 2048, side, side, "whole", (second, last)),
        ]
        last = f"layer{n}"
    return layers


@pytest.mark.parametrize("layers", [chain("conv 3x3"), residual(3), residual(20), residual(45)])
def test_an_architecture_has_every_layer_with_its_numbers_and_nothing_overlaps(
    layers: list[ArchitectureLayer],
) -> None:
    figure = architecture_figure("a network", (224, 224), layers)
    shown, joined = words(figure), "".join(words(figure))
    assert len(faces(figure)) == 1 + len(layers)
    for layer in layers:
        assert layer.name in joined
    sizes = [f"{layer.channels}×{layer.height}×{layer.width}" for layer in layers]
    fields = [layer.field for layer in layers]
    shown_sizes = [text for text in shown if "×" in text and text[0].isdigit()]
    shown_fields = [text for text in shown if text in fields]
    assert shown_sizes == ["3×224×224", *sizes]
    assert shown_fields == fields
    boxes = on_page(figure, texts(figure))
    assert meeting(boxes) == []
    assert outside(figure, boxes) == []
    arcs = on_page(figure, [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)])
    assert outside(figure, arcs) == []
    assert not [arc for arc in arcs if any(arc.overlaps(box) for box in boxes)]
    assert figure.get_figwidth() < 18


def test_slabs_shrink_with_the_feature_map_and_swell_with_the_channels() -> None:
    layers = [
        ArchitectureLayer("c1", "conv 3x3", 64, 100, 100, "3/1", ()),
        ArchitectureLayer("c2", "conv 3x3", 512, 25, 25, "9/4", ("c1",)),
        ArchitectureLayer("fc", "linear", 4096, 1, 1, "whole", ("c2",)),
    ]
    boxes = [face.get_extents() for face in faces(architecture_figure("net", (100, 100), layers))]
    heights, widths = [box.height for box in boxes], [box.width for box in boxes]
    assert heights[1] / heights[2] == pytest.approx(2)
    assert heights[0] == pytest.approx(heights[1])
    assert widths == sorted(widths)
    assert widths[2] - widths[1] == pytest.approx(widths[3] - widths[2])  # eight times the channels, twice


def test_the_input_has_its_own_channels() -> None:
    assert "1×28×20" in words(architecture_figure("net", (28, 20), chain("conv 3x3"), input_channels=1))


def test_colour_is_the_kind_of_operation() -> None:
    layers = chain("conv 3x3", "conv 5x5/2 in 2 groups", "max pool 2x2/2", "wavelet 3x3", "猫", "wavelet 1x1")
    figure = architecture_figure("net", (8, 8), layers)
    colours = [face.get_facecolor() for face in faces(figure)[1:]]
    assert colours[0] == colours[1]
    assert colours[3] == colours[5]
    assert len(set(colours)) == 4
    assert {"input", "conv", "max pool", "wavelet", "□"} <= set(words(figure))


def test_connections_are_what_feeds_what() -> None:
    layers = chain("conv 1x1", "conv 1x1", "conv 1x1")
    straight = wires(architecture_figure("net", (8, 8), layers))
    assert [len(wire) for wire in straight] == [2, 2, 2]
    branch = [*layers[:2], ArchitectureLayer("sum", "add", 4, 8, 8, "?", ("layer0", "layer1"))]
    assert sorted(len(wire) for wire in wires(architecture_figure("net", (8, 8), branch))) == [2, 2, 2, 4]
    apart = [*layers[:1], ArchitectureLayer("other", "conv 1x1", 4, 8, 8, "1/1", ())]
    assert sorted(len(wire) for wire in wires(architecture_figure("net", (8, 8), apart))) == [2, 4]


def test_an_arc_clears_the_slabs_it_spans_and_stays_on_the_page() -> None:
    tall = ArchitectureLayer("tall", "conv 1x1", 4, 224, 224, "1/1", ("low",))
    low = ArchitectureLayer("low", "conv 1x1", 4, 4, 4, "1/1", ())
    figure = architecture_figure(
        "net", (4, 4), [low, tall, ArchitectureLayer("sum", "add", 4, 4, 4, "?", ("low", "tall"))]
    )
    (arc,) = [wire for wire in wires(figure) if len(wire) == 4]
    slab = faces(figure)[2].get_path().get_extents()
    apex = (arc[0] + 3 * arc[1] + 3 * arc[2] + arc[3])[1] / 8
    assert arc[0][0] < slab.x0 < slab.x1 < arc[3][0]
    assert 0 < apex < slab.y0


def test_lines_are_cut_where_few_arcs_are() -> None:
    layers, last = [], "input"
    for n in range(12):
        names = [f"a{n}", f"b{n}", f"c{n}"]
        layers += [
            ArchitectureLayer(names[0], "conv 1x1", 4, 8, 8, "", (last,)),
            ArchitectureLayer(names[1], "conv 1x1", 4, 8, 8, "", (names[0],)),
            ArchitectureLayer(names[2], "add", 4, 8, 8, "", (names[1], names[0], last)),
        ]
        last = names[2]
    figure = architecture_figure("net", (8, 8), layers)
    lefts = [face.get_extents().x0 for face in faces(figure)]
    lines = 1 + sum(after < before for before, after in pairwise(lefts))
    assert lines > 2
    # one arc goes out of each cut and in again; inside a block they were two
    assert len([wire for wire in wires(figure) if len(wire) == 7]) == 2 * (lines - 1)


def test_an_arc_over_a_cut_leaves_one_line_and_arrives_on_a_later_one() -> None:
    layers = chain(*["conv 1x1"] * 40)
    layers[-1] = ArchitectureLayer("last", "add", 4, 8, 8, "?", ("layer0", "layer38"))
    figure = architecture_figure("net", (8, 8), layers)
    leaving, arriving = [wire for wire in wires(figure) if len(wire) == 7]
    assert leaving[-1][0] > leaving[0][0]
    assert arriving[-1][0] < arriving[0][0]
    assert arriving[0][1] > leaving[0][1]


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        ([], "there is no layer to draw"),
        ([*chain("a"), *chain("b")], "two layers are called layer0"),
        ([ArchitectureLayer("input", "conv", 1, 1, 1, "", ())], "two layers are called input"),
        (
            [ArchitectureLayer("c", "conv", 1, 1, 1, "", ("d",))],
            "layer c is fed by d, which does not come before",
        ),
        ([ArchitectureLayer("c", "conv", 0, 7, 7, "", ())], "layer c has size 0×7×7"),
    ],
)
def test_an_architecture_that_cannot_be_drawn_is_named(layers: list[ArchitectureLayer], line: str) -> None:
    with pytest.raises(DisplayError, match=line):
        architecture_figure("net", (8, 8), layers)
