"""oneDNN's convolutions: used where they are right, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import layerscope
from layerscope.kernels import onednn
from layerscope.kernels.onednn import Placing, Shape, available, convolve, pack

HERE = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    available.cache_clear()
    yield
    available.cache_clear()


def gone(*arguments: Any, **options: Any) -> Tensor:
    raise AttributeError("module 'torch' has no attribute of that name")


def refused(*arguments: Any, **options: Any) -> Tensor:
    raise TypeError("expected 9 arguments, got 10")


def never_rectified(values: Tensor, packed: Tensor, bias: Any, placing: Placing, **_: bool) -> Tensor:
    return convolve(values, packed, bias, placing)


def without_bias(
    values: Tensor, packed: Tensor, bias: Any, placing: Placing, *, rectify: bool = False
) -> Tensor:
    return convolve(values, packed, None, placing, rectify=rectify)


def in_float64(
    values: Tensor, packed: Tensor, bias: Any, placing: Placing, *, rectify: bool = False
) -> Tensor:
    return convolve(values, packed, bias, placing, rectify=rectify).double()


def test_it_is_used_here_in_float32() -> None:
    """The tests and benchmarks of this machine are of the quick way; what has no oneDNN has the other one."""
    assert available(torch.float32) == HERE
    assert not available(torch.float64)
    assert not available(torch.float16)


@pytest.mark.parametrize("broken", [gone, refused, never_rectified, without_bias, in_float64])
def test_what_is_missing_or_wrong_is_not_used(
    broken: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "convolve", broken)
    assert not available(torch.float32)
    assert not available(torch.bfloat16)


def test_without_its_layouts_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "pack", gone)
    assert not available(torch.float32)


def test_without_the_question_for_bfloat16_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "_computes", lambda dtype: getattr(torch.ops.mkldnn, f"_no_such_{dtype}"))
    assert not available(torch.bfloat16)


def test_to_ask_draws_nothing_and_needs_no_default() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            assert available(torch.float32) == HERE
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rectify", [False, True])
def test_it_is_the_convolution(dtype: torch.dtype, rectify: bool) -> None:
    if not available(dtype):
        pytest.skip("this CPU does not compute it")
    generator = torch.Generator().manual_seed(0)
    values, weight, bias = (
        torch.randn(*shape, generator=generator).to(dtype) for shape in ((3, 8, 17, 12), (6, 4, 5, 3), (6,))
    )
    placing = Placing(stride=(2, 1), pad=(1, 3), dilation=(1, 2), groups=2)
    found = convolve(values, pack(weight, placing, Shape(3, 17, 12)), bias, placing, rectify=rectify)
    right = F.conv2d(values.double(), weight.double(), bias.double(), (2, 1), (1, 3), (1, 2), 2)
    right = right.relu() if rectify else right
    assert found.dtype == dtype
    assert (found.double() - right).norm() <= (1e-6 if dtype is torch.float32 else 1e-2) * right.norm()


def test_nobody_else_stands_on_private_ground() -> None:
    """What torch does not promise is called in one module; only libtiff's handler of errors needs the C interface."""
    private = re.compile(r"torch\._C|torch\.ops\.mkldnn|\bctypes\b")
    home = Path(layerscope.__file__).parent
    using = {
        path.relative_to(home).as_posix()
        for path in home.rglob("*.py")
        if private.search(path.read_text("utf-8"))
    }
    assert using == {"kernels/onednn.py", "images/libtiff.py"}
