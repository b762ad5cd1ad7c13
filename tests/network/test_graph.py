"""A network read operation by operation gives the network's own result; what cannot be read is refused."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn

from layerscope.errors import NetworkError, NetworkWarning
from layerscope.network.capture import capture
from layerscope.network.graph import Graph
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.tracing import quiet
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import GRADIENT
from tests.support.marks import slow_but
from tests.support.small_networks import SMALL, Written, conv, shrunk

TORCHVISION: dict[str, tuple[int, dict[str, Any]]] = {  #: name -> side of the picture, arguments
    "alexnet": (80, {"num_classes": 7}),
    "vgg16": (32, {"num_classes": 7}),
    "vgg16_bn": (32, {"num_classes": 7}),
    "googlenet": (64, {"init_weights": False}),
    "resnet18": (64, {}),
    "resnet50": (64, {}),
    "densenet121": (64, {}),
    "squeezenet1_1": (64, {}),
    "mobilenet_v2": (64, {}),
    "inception_v3": (96, {"init_weights": False}),
    "mnasnet1_0": (64, {}),
    "shufflenet_v2_x1_0": (64, {}),
}
BATCHES = (1, 2, 5)


def result(graph: Graph, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        return graph.run(pictures, graph.output, frozenset({graph.output}))[graph.output]


def expected(module: nn.Module, pictures: Tensor) -> Tensor:
    """What the module gives at inference; it may change its input."""
    module.eval()
    with torch.no_grad():
        found: Tensor = module(pictures.clone())
    return found


def cheap(name: str) -> nn.Module:
    """A torchvision network with random weights, its huge hidden layers made small, its batch norms not trivial."""
    torch.manual_seed(0)
    _, arguments = TORCHVISION[name]
    with torch.device("meta"):
        module = shrunk(tv.get_model(name, weights=None, **arguments))
    module.to_empty(device="cpu")
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.running_var):
                nn.init.uniform_(_tensor(tensor), 0.5, 1.5)
            for tensor in (part.bias, part.running_mean):
                nn.init.uniform_(_tensor(tensor), -0.2, 0.2)
        elif isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.uniform_(part.bias, -0.1, 0.1)
    return module


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value


@pytest.mark.parametrize("name", slow_but(["alexnet", "resnet18", "mobilenet_v2"], TORCHVISION))
def test_torchvisions_networks_keep_their_result(name: str) -> None:
    side, module = TORCHVISION[name][0], cheap(name)
    graph = capture(module, (3, side, side))
    assert graph.operations[0].shape == (3, side, side)
    pictures = torch.randn(5, 3, side, side)
    for count in (1, 5):
        torch.testing.assert_close(result(graph, pictures[:count]), expected(module, pictures[:count]))


@cache
def small(name: str) -> Graph:
    return capture(SMALL[name], (3, 8, 8))


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_keep_their_result(name: str) -> None:
    graph = small(name)
    for count in BATCHES:
        pictures = torch.randn(count, 3, 8, 8)
        kept = pictures.clone()
        several = (
            pictures.repeat(2, 1, 1, 1) if name.startswith("squeezed") else pictures
        )  # lest the batch goes too
        torch.testing.assert_close(result(graph, pictures), expected(SMALL[name], several)[:count])
        assert torch.equal(pictures, kept), "the pictures were changed"


def test_channels_last_pictures_and_weights_give_the_same() -> None:
    side, module = 64, cheap("resnet18").double()
    graph = capture(module, (3, side, side))
    pictures = torch.randn(2, 3, side, side, dtype=torch.float64)
    plain = result(graph, pictures)
    torch.testing.assert_close(result(graph, pictures.contiguous(memory_format=torch.channels_last)), plain)
    relaid = capture(module.to(memory_format=torch.channels_last), (3, side, side))
    torch.testing.assert_close(result(relaid, pictures.contiguous(memory_format=torch.channels_last)), plain)


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_take_channels_last(name: str) -> None:
    graph = small(name)
    pictures = torch.randn(2, 3, 8, 8)
    last = pictures.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result(graph, last), result(graph, pictures))


def test_shapes_and_sources_are_those_of_the_results() -> None:
    graph = capture(cheap("googlenet"), (3, 64, 64))
    everything = frozenset(range(len(graph.operations)))
    values = graph.run(torch.randn(2, 3, 64, 64), graph.output, everything)
    assert set(values) == everything
    for operation in graph.operations:
        assert tuple(values[operation.index].shape[1:]) == operation.shape
        assert all(source < operation.index for source in operation.inputs)


def test_nothing_is_kept_that_was_not_asked_for() -> None:
    graph = capture(SMALL["reused"], (3, 8, 8))
    held: list[int] = []
    values = graph.run(
        torch.randn(1, 3, 8, 8), graph.output, frozenset({2}), lambda _, now: held.append(len(now))
    )
    assert set(values) == {2}
    assert max(held) <= 4


def test_a_kept_result_is_not_rectified_afterwards() -> None:
    module = nn.Sequential(conv(), nn.ReLU())
    graph = capture(module, (3, 8, 8))
    (index,) = (o.index for o in graph.operations if o.kind == "conv2d")
    pictures = torch.randn(2, 3, 8, 8)
    kept = graph.run(pictures, graph.output, frozenset({index, graph.output}))
    assert (kept[index] < 0).any()
    torch.testing.assert_close(kept[index], expected(module[0], pictures))


def test_dropout_left_on_stays_random() -> None:
    module = Written(lambda s, x: F.dropout(s.c(x), 0.5, training=True), c=conv())
    graph = capture(module, (3, 8, 8))
    pictures = torch.randn(1, 3, 8, 8)
    assert not torch.equal(result(graph, pictures), result(graph, pictures))
    torch.manual_seed(3)
    ours = result(graph, pictures)
    torch.manual_seed(3)
    torch.testing.assert_close(ours, expected(module, pictures))


def test_dropout_that_does_nothing_vanishes() -> None:
    module = nn.Sequential(conv(), nn.Dropout2d(), nn.Flatten(), nn.Dropout(0.9), nn.Linear(256, 2)).train()
    assert [o.kind for o in capture(module, (3, 8, 8)).operations] == ["input", "conv2d", "flatten", "linear"]


def test_modules_get_their_modes_back() -> None:
    module = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout(), nn.ReLU()))
    module.train()
    module[1].eval()
    before = {part: part.training for part in module.modules()}
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    capture(module, (3, 8, 8))
    assert {part: part.training for part in module.modules()} == before
    assert all(torch.equal(tensor, weights[name]) for name, tensor in module.state_dict().items())


def test_modules_get_their_modes_back_after_an_error() -> None:
    module = nn.Sequential(conv(), nn.Dropout(), nn.Linear(3, 1)).train()
    module[1].eval()
    with pytest.raises(NetworkError):
        capture(module, (3, 8, 8))
    assert [part.training for part in module] == [True, False, True]


def test_the_weights_are_read_in_place() -> None:
    module = nn.Sequential(conv())
    graph = capture(module, (3, 8, 8))
    weight = next(iter(module.parameters()))
    assert weight.data_ptr() in {tensor.data_ptr() for tensor in graph.tensors.values()}
    assert not any(tensor.requires_grad for tensor in graph.tensors.values())


def test_an_operation_says_where_it_is() -> None:
    graph = capture(Written(lambda s, x: F.relu(s.c(x)), c=conv()), (3, 8, 8))
    assert [o.place for o in graph.operations[1:]] == ["conv2d in 'c'", "relu in the network's own forward"]


def _half_changed(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    y[:, 0] = 0
    return y


def _view_changed(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    y.view(y.size(0), -1).relu_()
    return y


def _part_changed(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    first, _ = y.chunk(2, dim=1)
    first.relu_()
    return y


def _with_autocast(s: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu"):
        y: Tensor = s.c(x)
    return y


def _with_grad(s: Any, x: Tensor) -> Tensor:
    with torch.enable_grad():
        y: Tensor = s.c(x)
    return y


def _chosen_by_torch(s: Any, x: Tensor) -> Tensor:
    y: Tensor = torch.cond(x.sum() > 0, lambda z: z + 1, lambda z: z - 1, (s.c(x),))
    return y


def _set(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x).flatten(2)
    y[:, :, 1:] = y[:, :, 1:] * 2 + s.c(x).flatten(2)[:, :, :1]
    return y


def _autocast_off(s: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        y, z = s.c(x), s.c(x) + 1
    with torch.autocast("cpu", enabled=False):
        w: Tensor = y * z + s.c(x)
    return w


PLAIN: dict[str, Any] = {
    "part changed in place": _half_changed,
    "view changed in place": _view_changed,
    "chunk changed in place": _part_changed,
    "some set": _set,
    "without autocast": _autocast_off,
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_made_plain_before_it_is_read(name: str) -> None:
    module = Written(PLAIN[name], c=conv())
    graph = capture(nn.Sequential(module), (3, 8, 8))
    for count in (1, 3):
        x = torch.randn(count, 3, 8, 8)
        found = graph.run(x, graph.output, frozenset({graph.output}))[graph.output]
        with torch.no_grad():
            torch.testing.assert_close(found, module(x))
    assert "0" in graph.modules
    if name == "chunk changed in place":
        return  # autograd refuses it
    network = Network.from_module(module, preprocessing=Preprocessing(resize=None, height=8, width=8))
    point = torch.randn(1, 3, 8, 8, requires_grad=True)
    scores = module(point)
    (expected,) = torch.autograd.grad(scores, point, scores.detach())
    last = network.layers[-1]
    if last.result == network.graph.output:
        torch.testing.assert_close(
            reconstruct(network, point.detach(), last.name, rule=GRADIENT)[last.name], expected
        )


class Two(nn.Module):
    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        return pictures + others


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "several inputs": (Two(), "one image tensor"),
    "several outputs": (
        Written(lambda s, x: (s.c(x), s.c(x).mean(1)), c=conv()),
        "returns 2 values; wrap it",
    ),
    "a number beside it": (Written(lambda s, x: (s.c(x), 3), c=conv()), "returns 2 values; wrap it"),
    "nothing of the picture": (Written(lambda s, x: s.c.weight, c=conv()), "returns 1 values; wrap it"),
    "control flow": (
        Written(lambda s, x: s.c(x) if x.sum() > 0 else x, c=conv()),
        "data-dependent control flow",
    ),
    "control flow by a number": (
        Written(lambda s, x: s.c(x) if x.max().item() > 0 else x, c=conv()),
        "data-dependent control flow",
    ),
    "one batch size": (Written(lambda s, x: s.c(x).reshape(2, -1), c=conv()), "any batch size"),
    "channels that do not fit": (conv(5), "for input 3x8x8"),
    "python's numbers": (Written(lambda s, x: s.c(x) * float(x.max()), c=conv()), "cannot read Written"),
    "an error of its own": (Written(lambda s, x: s.missing(x), c=conv()), "missing"),
    "autocast": (
        nn.Sequential(Written(_with_autocast, c=conv())),
        "wrap_with_autocast in '0' wraps part of the network.*leave out torch.autocast",
    ),
    "enable_grad": (Written(_with_grad, c=conv()), "own forward wraps part of.*leave out .*enable_grad"),
    "torch.cond": (Written(_chosen_by_torch, c=conv()), "cond in the network's own forward wraps part"),
    "complex numbers": (
        Written(lambda s, x: torch.fft.irfft2(torch.fft.rfft2(s.c(x))), c=conv()),
        "fft_rfft2 in the network's own forward computes with complex numbers.*give the part .* before it",
    ),
    "a size that depends on the picture": (
        Written(lambda s, x: s.c(x)[:, torch.nonzero(x.sum((0, 2, 3)))[:, 0]], c=conv()),
        "index in the network's own forward gives a result whose size depends",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    module, words = REFUSED[name]
    with pytest.raises(NetworkError, match=words) as caught:
        capture(module, (3, 8, 8))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


class Steep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0) * 2

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> Tensor:
        return signal * 5


class SteepModule(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = Steep.apply(x)
        return y


def test_a_backward_of_its_own_is_said_not_to_be_used() -> None:
    with pytest.warns(
        NetworkWarning, match="^Steep, used in '1', has a backward of its own, which is not"
    ) as said:
        graph = capture(nn.Sequential(conv(), SteepModule(), SteepModule()), (3, 8, 8))
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert [operation.kind for operation in graph.operations] == [
        "input",
        "conv2d",
        "clamp",
        "mul",
        "clamp",
        "mul",
    ]


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_what_was_made_from_a_module_is_refused_in_one_line() -> None:
    module = nn.Sequential(conv(), nn.ReLU()).eval()
    program = torch.export.export(module, (torch.zeros(2, 3, 8, 8),))
    scripted = torch.jit.script(module)
    for made in (program.module(), scripted, torch.jit.freeze(scripted)):
        with pytest.raises(
            NetworkError, match=r"^cannot read \w+, .*; give the nn.Module it was made from, or "
        ):
            capture(made, (3, 8, 8))
    with pytest.raises(
        NetworkError, match=r"was exported for inputs of 2x3x8x8; export it with the first axis free"
    ):
        capture(program, (3, 8, 8))
    with pytest.raises(NetworkError, match="cannot read function, which is no module"):
        capture(conv, (3, 8, 8))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_program_in_fewer_operations_is_refused_in_one_line() -> None:
    module = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(256, 2)).eval()
    free = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(module, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=free)
    assert capture(program, (3, 8, 8)).operations[1].kind == "conv2d"
    with pytest.raises(
        NetworkError, match=r"taken apart \(convolution\); .*, without run_decompositions\(\)$"
    ):
        capture(program.run_decompositions(), (3, 8, 8))


@pytest.mark.filterwarnings("ignore")  # torch's own, of quantising
def test_packed_weights_are_refused_in_one_line() -> None:
    module = nn.Sequential(torch.ao.nn.quantized.Conv2d(3, 4, 3))  # type: ignore[no-untyped-call]
    with pytest.raises(NetworkError, match=r"^0 of Sequential packs its weights \(Conv2d\)") as caught:
        capture(module, (3, 8, 8))
    assert "\n" not in str(caught.value)


class Chatty(nn.Module):
    """Lets another thread log, warn and print while it is read, and prints something of its own."""

    def forward(self, pictures: Tensor) -> Tensor:
        other = threading.Thread(target=speak_up)
        other.start()
        other.join()
        print("said in reading", file=sys.stderr)
        return pictures * 2


def speak_up() -> None:
    logging.getLogger("elsewhere").warning("logged")
    logging.getLogger("torch.elsewhere").warning("logged under torch")
    warnings.warn("warned", stacklevel=1)
    warnings.warn_explicit("warned by torch", UserWarning, "elsewhere.py", 1, "torch.elsewhere")
    print("printed", file=sys.stderr)


def test_other_threads_are_heard_while_a_module_is_read(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sys.stderr
    monkeypatch.setattr(logging.getLogger("torch"), "handlers", [caplog.handler])
    with pytest.warns(UserWarning, match="warned") as warned:
        capture(Chatty(), (3, 8, 8))
    assert [str(warning.message) for warning in warned] == ["warned", "warned by torch"]
    assert sys.stderr is before
    heard = capsys.readouterr().err
    assert "printed" in heard
    assert "said in reading" not in heard
    assert {"logged", "logged under torch"} <= set(caplog.messages)


def test_two_threads_that_read_leave_standard_error_to_all(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = quiet(), quiet()
    filters = list(warnings.filters)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    print("heard", file=sys.stderr)
    assert "heard" in capsys.readouterr().err
    assert warnings.filters == filters


@pytest.mark.parametrize("name", ["control flow", "control flow by a number", "python's numbers"])
def test_code_that_depends_on_the_picture_is_quoted(name: str) -> None:
    words = {
        "control flow": "if x.sum() > 0",
        "control flow by a number": "if x.max().item() > 0",
        "python's numbers": "float(x.max())",
    }[name]
    with pytest.raises(NetworkError, match=r"line [0-9]+ of .*test_graph\.py depends on") as caught:
        capture(REFUSED[name][0], (3, 8, 8))
    assert words in str(caught.value)
    assert "guard" not in str(caught.value)


def test_tensors_made_in_forward_are_made_where_the_network_is() -> None:
    def forward(s: Any, x: Tensor) -> Tensor:
        y: Tensor = s.c(x.to(x.device)) + torch.arange(4.0, device=x.device).view(1, 4, 1, 1)
        return y.to("cpu", torch.float32) * torch.full((4, 1, 1), 0.5)

    module = Written(forward, c=conv())
    graph = capture(module, (3, 8, 8))
    pictures = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(result(graph, pictures), expected(module, pictures))
    elsewhere = replace(graph, tensors={name: tensor.to("meta") for name, tensor in graph.tensors.items()})
    assert result(elsewhere, torch.empty(2, 3, 8, 8, device="meta")).device.type == "meta"


def test_the_digest_knows_what_is_computed() -> None:
    class Scaled(nn.Module):
        def __init__(self, alpha: float) -> None:
            super().__init__()
            self.alpha = alpha

        def forward(self, picture: Tensor) -> Tensor:
            return torch.sub(picture, picture.relu(), alpha=self.alpha)

    digests = [capture(Scaled(alpha), (3, 8, 8)).digest for alpha in (0.5, 2.0, 0.5)]
    assert digests[0] == digests[2] != digests[1]
