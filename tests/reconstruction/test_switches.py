"""Switches: a max-pool reversed equals a loop over positions, for any window."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from layerscope.network.readers import Window
from layerscope.reconstruction.switches import find_switches, unpool
from tests.oracles.reconstruction import unpooling
from tests.support.descent import Function, assert_adjoint, noise

BOTH: tuple[Literal["sum", "overwrite"], ...] = ("sum", "overwrite")


def pooled(source: Tensor, rows: Window, columns: Window, ceil: bool) -> Tensor:
    return F.max_pool2d(
        source,
        (rows.kernel, columns.kernel),
        (rows.stride, columns.stride),
        (rows.pad, columns.pad),
        (rows.dilation, columns.dilation),
        ceil_mode=ceil,
    )


def assert_unpools(source: Tensor, rows: Window, columns: Window, ceil: bool) -> None:
    result = pooled(source, rows, columns, ceil)
    signal = noise(2, *result.shape[1:], seed=3)
    switches = find_switches(source, result, rows, columns)
    for overlap in BOTH:
        ours = unpool(signal, switches, overlap)
        assert ours.shape == (2, *source.shape[1:])
        for row in range(2):
            for channel in range(source.shape[1]):
                twin = unpooling.unpool(
                    source[0, channel].tolist(),
                    signal[row, channel].tolist(),
                    rows,
                    columns,
                    overwrite=overlap == "overwrite",
                )
                torch.testing.assert_close(ours[row, channel], torch.tensor(twin, dtype=torch.float64))


WINDOWS = {
    "2x2/2": (Window(2, 2), Window(2, 2)),
    "3x3/2": (Window(3, 2), Window(3, 2)),
    "3x3/1 padded": (Window(3, 1, 1), Window(3, 1, 1)),
    "3x3/2 padded": (Window(3, 2, 1), Window(3, 2, 1)),
    "2x2/2 padded": (Window(2, 2, 1), Window(2, 2, 1)),
    "2x3": (Window(2, 2), Window(3, 3)),
    "3x1 overlapping": (Window(3, 1), Window(1, 2)),
    "dilated": (Window(2, 2, 0, 2), Window(3, 1, 1, 2)),
    "dilated but apart": (Window(2, 3, 0, 2), Window(2, 4, 0, 3)),
    "stride > kernel": (Window(2, 3), Window(1, 3)),
    "overlapping one way": (Window(3, 2), Window(2, 2)),
}


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (7, 10)])
def test_unpooling_equals_the_loop(name: str, size: tuple[int, int], ceil: bool) -> None:
    assert_unpools(noise(1, 2, *size), *WINDOWS[name], ceil)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("value", [0.0, -3.0, -math.inf])
def test_of_equal_values_the_first_counts(name: str, value: float) -> None:
    assert_unpools(torch.full((1, 2, 8, 8), value, dtype=torch.float64), *WINDOWS[name], True)


@st.composite
def axes(draw: st.DrawFn) -> tuple[Window, int]:
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    reach = (kernel - 1) * dilation + 1
    window = Window(kernel, draw(st.integers(1, 5)), draw(st.integers(0, reach // 2)), dilation)
    length = draw(st.integers(1, 9))
    assume(length + 2 * window.pad >= reach)
    assume(
        dilation == 1 or window.pad == 0
    )  # a dilated window may see nothing but padding: torch has no maximum
    return window, length


@settings(max_examples=150, deadline=None, derandomize=True)
@given(axes(), axes(), st.booleans(), st.integers(0, 999))
def test_unpooling_equals_the_loop_for_any_window(
    one: tuple[Window, int], other: tuple[Window, int], ceil: bool, seed: int
) -> None:
    assume(not ceil or one[0].dilation == other[0].dilation == 1)
    levels = torch.randint(-2, 2, (1, 1, one[1], other[1]), generator=torch.Generator().manual_seed(seed))
    assert_unpools(levels.double(), one[0], other[0], ceil)  # four levels: many ties


@settings(max_examples=150, deadline=None, derandomize=True)
@given(axes(), axes(), st.sampled_from([-1.0, 0.0, 3.0, 1e-30]), st.integers(0, 999))
def test_of_values_equal_up_to_rounding_the_first_counts(
    one: tuple[Window, int], other: tuple[Window, int], level: float, seed: int
) -> None:
    """Levels apart by a quarter of what is equal up to rounding: the largest of five is not always chosen."""
    steps = torch.randint(-2, 3, (1, 1, one[1], other[1]), generator=torch.Generator().manual_seed(seed))
    assert_unpools(level * (1 + steps.double() * 2**-22), one[0], other[0], False)


WHOLE, SINGLE = torch.float64, torch.float32
NEAR, FAR = 1 + 2.0**-21, 1 + 2.0**-19
HALF = 1 + 2.0**-7  # the next number to 1 in bfloat16
PAIRS = [
    ((1.0, NEAR), 0, (WHOLE, SINGLE)),
    ((1.0, FAR), 1, (WHOLE, SINGLE)),
    ((-NEAR, -1.0), 0, (WHOLE, SINGLE)),
    ((-FAR, -1.0), 1, (WHOLE, SINGLE)),
    ((1.0, HALF), 1, (torch.bfloat16, torch.float16)),
    ((HALF, HALF), 0, (torch.bfloat16, torch.float16)),
    ((-1e-7, 0.0), 1, (WHOLE, SINGLE, torch.bfloat16)),
    ((-0.0, 0.0), 0, (WHOLE, SINGLE, torch.bfloat16)),
    ((3e38, math.inf), 1, (WHOLE, SINGLE, torch.bfloat16)),
    ((-math.inf, -3e38), 1, (WHOLE, SINGLE, torch.bfloat16)),
    ((math.inf, math.inf), 0, (WHOLE, SINGLE, torch.bfloat16)),
]


@pytest.mark.parametrize(("values", "tap", "precisions"), PAIRS, ids=str)
def test_what_is_equal_up_to_rounding(
    values: tuple[float, float], tap: int, precisions: tuple[torch.dtype, ...]
) -> None:
    for dtype in precisions:
        source = torch.tensor(values, dtype=dtype).view(1, 1, 1, 2)
        for rows, columns in ((Window(1), Window(2, 2)), (Window(1), Window(2, 1))):
            switches = find_switches(source, F.max_pool2d(source, (1, 2)), rows, columns)
            assert [int(mask.sum()) for mask in switches.masks] == [tap == 0, tap == 1], dtype


@pytest.mark.parametrize("dtype", [WHOLE, SINGLE, torch.bfloat16])
def test_a_maximum_that_is_nan_is_nowhere(dtype: torch.dtype) -> None:
    source = torch.tensor([1.0, math.nan, 2.0, 1.0], dtype=dtype).view(1, 1, 1, 4)
    switches = find_switches(source, F.max_pool2d(source, (1, 2)), Window(1), Window(2, 2))
    assert [mask.flatten().tolist() for mask in switches.masks] == [[0, 1], [0, 0]]


def test_what_is_equal_to_what_is_equal_to_the_maximum_need_not_be() -> None:
    source = torch.tensor([1 - 1.2 * 2.0**-20, 1 - 0.6 * 2.0**-20, 1.0], dtype=WHOLE).view(1, 1, 1, 3)
    switches = find_switches(source, F.max_pool2d(source, (1, 3)), Window(1), Window(3, 3))
    assert switches.found.item() == 1


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
def test_unpooling_is_the_adjoint_of_pooling(name: str, ceil: bool) -> None:
    rows, columns = WINDOWS[name]
    assert_adjoint(Function(lambda x: pooled(x, rows, columns, ceil)), 3, 9, 8)


def test_overwriting_is_not_summing_where_windows_overlap() -> None:
    source = torch.zeros(1, 1, 3, 5, dtype=torch.float64)
    source[0, 0, 1, 2] = 1  # the maximum of both windows
    result = F.max_pool2d(source, 3, 2)
    switches = find_switches(source, result, Window(3, 2), Window(3, 2))
    signal = torch.tensor([[[[5.0, 7.0]]]], dtype=torch.float64)
    assert unpool(signal, switches)[0, 0, 1, 2] == 12
    assert unpool(signal, switches, "overwrite")[0, 0, 1, 2] == 7


def test_found_numbers_the_tap_of_each_maximum() -> None:
    source = torch.tensor([[[[1.0, 2.0, 5.0, 5.0], [3.0, 0.0, 5.0, 1.0]]]])
    switches = find_switches(source, F.max_pool2d(source, 2), Window(2, 2), Window(2, 2))
    assert switches.found.tolist() == [[[[2, 0]]]]
    assert switches.found.dtype == torch.uint8
    many = noise(1, 2, 40, 40)
    found = find_switches(many, F.max_pool2d(many, 20), Window(20, 20), Window(20, 20)).found
    _, flat = F.max_pool2d(many, 20, return_indices=True)
    rows, columns = flat // 40 % 20, flat % 40 % 20
    assert torch.equal(found.long(), rows * 20 + columns)
