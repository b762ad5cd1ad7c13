"""The deconvnet written out for a chain of modules: plain loops over taps and windows, numpy, float64.

Slow and obvious on purpose: nothing of layerscope, no transposed convolution of torch's, no autograd.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

Array = npt.NDArray[np.floating[Any]]


def forward(modules: Sequence[nn.Module], picture: Array) -> list[Array]:
    """The results of each module for one picture (channels, height, width); the picture first."""
    results = [picture]
    for module in modules:
        results.append(_forward(module, results[-1]))
    return results


def deconvnet(
    modules: Sequence[nn.Module], results: Sequence[Array], signal: Array, *, overwrite: bool = False
) -> Array:
    """Take a signal at the result of the last module down to the picture."""
    for module, source, result in zip(reversed(modules), results[-2::-1], results[:0:-1], strict=True):
        signal = _back(module, source, result, signal, overwrite)
    return signal


def _weights(module: nn.Module) -> tuple[Array, Array]:
    assert isinstance(module, (nn.Conv2d, nn.Linear))
    assert module.bias is not None
    return module.weight.detach().double().numpy(), module.bias.detach().double().numpy()


def _forward(module: nn.Module, source: Array) -> Array:
    if isinstance(module, nn.Conv2d):
        weight, bias = _weights(module)
        return _conv(module, source, weight) + bias[:, None, None]
    if isinstance(module, nn.Linear):
        weight, bias = _weights(module)
        return weight @ source + bias
    if isinstance(module, nn.MaxPool2d):
        return _pool(module, source)[0]
    if isinstance(module, nn.ReLU):
        return np.maximum(source, 0)
    assert isinstance(module, nn.Flatten), module
    return source.reshape(-1)


def _back(module: nn.Module, source: Array, result: Array, signal: Array, overwrite: bool) -> Array:
    if isinstance(module, nn.Conv2d):
        return _transposed_conv(module, source.shape, signal)
    if isinstance(module, nn.Linear):
        return _weights(module)[0].T @ signal
    if isinstance(module, nn.MaxPool2d):
        return _unpool(module, source, signal, overwrite)
    if isinstance(module, nn.ReLU):
        return np.maximum(signal, 0)
    return signal.reshape(source.shape)


def _conv(module: nn.Conv2d, source: Array, weight: Array) -> Array:
    (pad, _), (stride, _) = _pair(module.padding), _pair(module.stride)
    padded = np.pad(source, ((0, 0), (pad, pad), (pad, pad)))
    rows = (padded.shape[1] - weight.shape[2]) // stride + 1
    columns = (padded.shape[2] - weight.shape[3]) // stride + 1
    result = np.zeros((weight.shape[0], rows, columns))
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            seen = padded[:, i : i + rows * stride : stride, j : j + columns * stride : stride]
            seen = seen[:, :rows, :columns]
            result += np.einsum("oc,chw->ohw", weight[:, :, i, j], seen, optimize=True)
    return result


def _transposed_conv(module: nn.Conv2d, shape: tuple[int, ...], signal: Array) -> Array:
    weight, _ = _weights(module)
    (pad, _), (stride, _) = _pair(module.padding), _pair(module.stride)
    rows, columns = signal.shape[1:]
    reach = (rows - 1) * stride + weight.shape[2], (columns - 1) * stride + weight.shape[3]
    canvas = np.zeros((shape[0], max(reach[0], shape[1] + 2 * pad), max(reach[1], shape[2] + 2 * pad)))
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            spread = np.einsum("oc,ohw->chw", weight[:, :, i, j], signal, optimize=True)
            canvas[:, i : i + rows * stride : stride, j : j + columns * stride : stride][
                :, :rows, :columns
            ] += spread
    return canvas[:, pad : pad + shape[1], pad : pad + shape[2]]


def _pool(module: nn.MaxPool2d, source: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """Maxima and where each was found: flat index into a channel's map, the first of those equal up to rounding.

    Compared in the precision of the source, as it was computed.
    """
    (kernel, _), (stride, _), (pad, _) = (
        _pair(v) for v in (module.kernel_size, module.stride, module.padding)
    )
    channels, height, width = source.shape
    rows, columns = (_pooled(n, kernel, stride, pad, module.ceil_mode) for n in (height, width))
    maxima = np.zeros((channels, rows, columns))
    places = np.zeros((channels, rows, columns), dtype=np.intp)
    for i in range(rows):
        for j in range(columns):
            top, left = max(0, i * stride - pad), max(0, j * stride - pad)
            bottom, right = min(height, i * stride - pad + kernel), min(width, j * stride - pad + kernel)
            window = source[:, top:bottom, left:right].reshape(channels, -1)
            most = window.max(axis=1)
            least = np.where(most > 0, most * most.dtype.type(1 - 2**-20), most * most.dtype.type(1 + 2**-20))
            best = (window >= least[:, None]).argmax(axis=1)
            maxima[:, i, j] = most
            places[:, i, j] = (top + best // (right - left)) * width + left + best % (right - left)
    return maxima, places


def _pooled(length: int, kernel: int, stride: int, pad: int, ceil: bool) -> int:
    span = length + 2 * pad - kernel
    outputs = (span + stride - 1) // stride + 1 if ceil else span // stride + 1
    return outputs - 1 if ceil and (outputs - 1) * stride >= length + pad else outputs


def _unpool(module: nn.MaxPool2d, source: Array, signal: Array, overwrite: bool) -> Array:
    _, places = _pool(module, source)
    back = np.zeros((source.shape[0], source.shape[1] * source.shape[2]))
    channels = np.arange(source.shape[0])
    for i in range(signal.shape[1]):
        for j in range(signal.shape[2]):
            if overwrite:
                back[channels, places[:, i, j]] = signal[:, i, j]
            else:
                back[channels, places[:, i, j]] += signal[:, i, j]
    return back.reshape(source.shape)


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    assert isinstance(value, tuple)
    return int(value[0]), int(value[1])
