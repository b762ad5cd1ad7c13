"""Training as one would write it down: one picture after the other, the rule of the update in full."""

from copy import deepcopy

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn


def prepared(picture: Image.Image, side: int, draws: tuple[float, float, float]) -> Tensor:
    """A picture that is larger than the crop and needs no resizing: cut at the place drawn, mirrored or not."""
    down, across, mirrored = draws
    pixels = np.asarray(picture.convert("RGB"), np.float32) / 255
    top, left = round((pixels.shape[0] - side) * down), round((pixels.shape[1] - side) * across)
    cut = pixels[top : top + side, left : left + side]
    if mirrored < 0.5:
        cut = cut[:, ::-1]
    values = (cut - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return torch.from_numpy(values.astype(np.float32).transpose(2, 0, 1).copy())


def train(
    module: nn.Module, pictures: list[Image.Image], labels: list[int], side: int, batch: int, rates: list[float],
    *, seed: int, momentum: float, decay: float, smoothing: float,
) -> nn.Module:  # fmt: skip
    """So many steps as there are rates; the batch norms, if any, learn too."""
    module = deepcopy(module).train()
    memory: dict[str, Tensor] = {}
    per_epoch = len(pictures) // batch
    for step, rate in enumerate(rates):
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((seed, epoch)).permutation(len(pictures))
        draws = np.random.default_rng((seed, epoch, 1)).random((len(pictures), 3))
        chosen = order[place * batch : (place + 1) * batch]
        inputs = [prepared(pictures[i], side, tuple(draws[i])) for i in chosen]
        scores = module(torch.stack(inputs))
        loss = torch.zeros(())
        for row, i in enumerate(chosen):
            share = torch.full((scores.shape[1],), smoothing / scores.shape[1])
            share[labels[i]] += 1 - smoothing
            loss = loss - (share * scores[row].log_softmax(0)).sum() / batch
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for (name, parameter), gradient in zip(module.named_parameters(), gradients, strict=True):
                pull = gradient + decay * parameter
                memory[name] = pull if name not in memory else momentum * memory[name] + pull
                parameter.sub_(rate * memory[name])
    return module
