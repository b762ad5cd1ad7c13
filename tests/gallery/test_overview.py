"""A network at a glance: the paper's tables, rows that line up, the architecture as a figure."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from layerscope.gallery.overview import layer_records, layer_table, show_architecture
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.zoo.loading import read_architecture
from tests.support.channels_last import summing
from tests.support.descent import small_network
from tests.support.looking import faces, images, meeting, on_page, outside, texts, wires, words
from tests.support.small_networks import Written, conv

# Receptive field (size/stride) of each layer: the paper's Tables 1 and 2.
VGGCNN = """c1_1 3/1 c1_2 5/1 p1 6/2 c2_1 10/2 c2_2 14/2 p2 16/4 c3_1 24/4 c3_2 32/4 c3_3 40/4
    p3 44/8 c4_1 60/8 c4_2 76/8 c4_3 92/8 p4 100/16 c5_1 132/16 c5_2 164/16 c5_3 196/16 p5 212/32"""
ALEXCNN = "c1 11/4 p1 15/8 c2 47/8 p2 55/16 c3 87/16 c4 119/16 c5 151/16 p5 167/32"


@pytest.fixture(scope="module")
def alexcnn() -> Network:
    return read_architecture("alexcnn")


@pytest.mark.parametrize(("name", "paper"), [("vggcnn", VGGCNN), ("alexcnn", ALEXCNN)])
def test_the_table_holds_the_papers_numbers(name: str, paper: str) -> None:
    read = read_architecture(name)
    lines = [line.split() for line in layer_table(read).splitlines()[1:]]
    trunk, connected = lines[:-3], lines[-3:]
    assert " ".join(f"{line[0]} {line[-3]}/{line[-2]}" for line in trunk) == " ".join(paper.split())
    assert [(line[0], line[-2:]) for line in connected] == [
        (layer, ["224", "whole"]) for layer in ("fc6", "fc7", "fc8")
    ]
    fields = [(r["name"], r["receptive_field"]) for r in layer_records(read)]
    told = " ".join(f"{layer} {field['size'][0]}/{field['stride'][0]}" for layer, field in fields[:-3])
    assert told == " ".join(paper.split())
    assert all(field["whole_input"] == (layer[:2] == "fc") for layer, field in fields)


def test_the_columns_line_up(alexcnn: Network) -> None:
    lines = layer_table(alexcnn).splitlines()
    heading = lines[0]
    assert heading.split() == ["layer", "operation", "channels", "output", "field", "stride", "start"]
    ends = [heading.index(word) + len(word) for word in ("channels", "output", "field", "stride")]
    start = heading.index("operation")
    for line in lines[1:]:
        assert line[start - 1] == " " != line[start]
        for end in ends:
            assert line[end - 1] != " "
            assert line[end : end + 1] in ("", " ")
    assert not any(line != line.rstrip() for line in lines)
    assert lines[1].split() == ["c1", "conv", "11x11/4", "+", "relu", "96", "55x55", "11", "4", "3"]


def test_layers_whose_axes_nobody_knows_are_shown_as_they_are() -> None:
    network = summing()
    rows = {line.split()[0]: line.split() for line in layer_table(network).splitlines()[1:]}
    assert rows["o"] == ["o", "linear", "?", "140x4", "?", "?", "?"]
    assert rows["f"] == ["f", "linear", "4", "10x14", "?", "?", "?"]
    records = {record["name"]: record for record in layer_records(network)}
    assert (records["o"]["channels"], records["o"]["output"]) == (None, [140, 4])
    assert (records["f"]["channels"], records["f"]["output"]) == (4, [10, 14])
    assert {"140×4", "4×10×14"} <= set(words(show_architecture(network)))


def test_pictures_within_a_result_are_no_size_of_it() -> None:
    network = small_network(Written(lambda s, x: s.d(s.c(x).transpose(0, 1)), c=conv(), d=nn.Linear(7, 2)))
    (line,) = [line.split() for line in layer_table(network).splitlines() if line.startswith("d ")]
    assert line == ["d", "linear", "?", "?", "3x7", "1x0", "0x3"]  # a sum over columns: what it sees is known
    assert layer_records(network)[-1]["output"] is None
    assert "?" in words(show_architecture(network))


def test_the_table_and_the_records_agree(alexcnn: Network) -> None:
    records = layer_records(alexcnn)
    lines = layer_table(alexcnn).splitlines()[1:]
    assert [r["name"] for r in records] == [line.split()[0] for line in lines]
    for record, line in zip(records, lines, strict=True):
        height, width = record["output"]
        assert f"  {record['operation']}  " in line
        assert f" {record['channels']}  " in line
        assert f" {height}x{width} " in line
    assert [r["inputs"] for r in records] == [[], *([r["name"]] for r in records[:-1])]
    assert records[0] == {
        "name": "c1",
        "operation": "conv 11x11/4 + relu",
        "channels": 96,
        "output": [55, 55],
        "apart": 0,
        "receptive_field": (
            field := {"size": [11, 11], "stride": [4, 4], "start": [3, 3], "whole_input": False}
        ),
        "receptive_field_in_all": field,
        "inputs": [],
    }


def test_sizes_that_differ_by_axis_are_both_said() -> None:
    read = read_architecture("alexcnn", options=Options(input_size=(160, 224)))
    lines = {line.split()[0]: line.split() for line in layer_table(read).splitlines()}
    assert lines["p5"][-4:] == ["5x7", "167", "32", "25"]
    assert lines["fc6"][-2:] == ["160x224", "whole"]


def test_an_unknown_receptive_field_is_said_to_be_unknown() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PixelShuffle(2), nn.Conv2d(1, 2, 3))
    network = Network.from_module(module, preprocessing=Preprocessing(None, 16, 16))
    assert layer_table(network).splitlines()[-1].split()[-3:] == ["?", "?", "?"]
    assert layer_records(network)[-1]["receptive_field"] is None
    assert "?" in words(show_architecture(network))


def test_the_architecture_of_alexcnn_as_a_figure(alexcnn: Network) -> None:
    figure = show_architecture(alexcnn)
    told = words(figure)
    assert told[0] == "alexcnn"
    sizes = [f"{r['channels']}×{r['output'][0]}×{r['output'][1]}" for r in layer_records(alexcnn)]
    assert [word for word in told if "×" in word and word[0].isdigit()] == ["3×224×224", *sizes]
    fields = [word for word in told if "/" in word and word.replace("/", "").isdigit()]
    assert fields == ALEXCNN.split()[1::2]
    assert told.count("whole") == 3
    assert len(faces(figure)) == 1 + 11
    assert not images(figure)
    boxes = on_page(figure, texts(figure))
    assert meeting(boxes) == []
    assert outside(figure, boxes) == []
    heights = [box.height for box in on_page(figure, faces(figure))]
    assert all(a >= b for a, b in pairwise(heights))


def test_the_architecture_of_resnet18_shows_its_branches() -> None:
    read = read_architecture("resnet18")
    figure = show_architecture(read)
    told = " ".join(words(figure))
    merges = [r for r in layer_records(read) if r["operation"].startswith("add")]
    assert len(merges) == 8
    assert all(len(r["inputs"]) == 2 for r in merges)
    assert len(faces(figure)) == 1 + len(read.layers)
    assert {"input", "conv", "max pool", "add", "linear"} <= set(words(figure))
    assert "512×7×7" in told
    assert told.count("whole") == 2
    arcs = [points for points in wires(figure) if len(points) > 2]
    assert len(arcs) >= len(merges)
    boxes = on_page(figure, texts(figure))
    assert meeting(boxes) == []
    assert outside(figure, boxes) == []


def test_what_gates_see_has_a_column_where_there_are_any(alexcnn: Network) -> None:
    assert "in all" not in layer_table(alexcnn)

    def gated(s: Any, x: Tensor) -> Tensor:
        y: Tensor = s.c(x)
        return y * y.mean((2, 3), keepdim=True).sigmoid()

    network = small_network(Written(gated, c=conv()), (5, 7))
    lines = [line.split() for line in layer_table(network).splitlines()]
    assert lines[0][-2:] == ["in", "all"]
    assert lines[1] == ["c", "conv", "3x3", "4", "5x7", "3", "1", "0"]
    assert lines[-1] == ["mul", "mul", "4", "5x7", "3", "1", "0", "whole"]
    record = layer_records(network)[-1]
    assert record["receptive_field"]["size"] == [3, 3]
    assert record["receptive_field_in_all"] == {
        "size": [5, 7],
        "stride": [0, 0],
        "start": [2, 3],
        "whole_input": True,
    }


def test_class_tokens_stand_beside_the_map() -> None:
    def forward(s: Any, x: Tensor) -> Tensor:
        y: Tensor = s.c(x)
        tokens = torch.cat([y.mean((2, 3))[:, None], y.flatten(2).transpose(1, 2)], 1)
        found: Tensor = s.f(tokens)
        return found

    network = small_network(Written(forward, c=conv(), f=nn.Linear(4, 6)), (5, 7))
    (line,) = [line.split() for line in layer_table(network).splitlines() if line.startswith("f ")]
    assert line[:4] == ["f", "linear", "6", "5x7+1"]
    assert layer_records(network)[-1]["apart"] == 1
