"""Batches: which pictures, and how each is changed, follow from seed, epoch and index."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from layerscope.images.sets import ImageSet, Loaded
from layerscope.network.mean_image import MeanImage
from layerscope.network.preprocessing import Preprocessing
from layerscope.train.batches import Batches
from tests.support.classes import SIDE

SMALL = Preprocessing(resize=20, height=SIDE, width=SIDE)


def test_pictures_follow_from_seed_epoch_and_index(images: ImageSet) -> None:
    batches = Batches(images, SMALL, 4, seed=3)
    whole = list(batches.epoch(1))
    assert len(whole) == batches.count == 4
    for first in range(4):
        for a, b in zip(whole[first:], batches.epoch(1, first), strict=True):
            assert torch.equal(a.pictures, b.pictures)
            assert torch.equal(a.labels, b.labels)
    halves = [list(replace(batches, part=part, parts=2).epoch(1)) for part in range(2)]
    for batch, one, other in zip(whole, *halves, strict=True):
        assert torch.equal(batch.pictures[0::2], one.pictures)
        assert torch.equal(batch.pictures[1::2], other.pictures)
    odd = replace(batches, batch=5)
    for batch, one in zip(odd.epoch(1), replace(odd, part=0, parts=2).epoch(1), strict=True):
        assert torch.equal(batch.pictures[0::2], one.pictures)
    assert not torch.equal(whole[0].pictures, next(batches.epoch(0)).pictures)
    assert not torch.equal(whole[0].pictures, next(replace(batches, seed=4).epoch(1)).pictures)


def test_pictures_are_not_mirrored_where_the_recipe_says_so(images: ImageSet) -> None:
    """Cropped at the only place there is, a picture is itself or its mirror image."""
    whole = Preprocessing(resize=SIDE, height=SIDE, width=SIDE)
    for mirror, sorts in ((True, {False, True}), (False, {False})):
        batches = Batches(images, whole, 4, seed=0, mirror=mirror)
        found = set()
        for batch, index in zip(
            batches.epoch(0), np.random.default_rng((0, 0)).permutation(18)[::4], strict=False
        ):
            own = whole.apply(images.load(int(index)).image)
            assert torch.equal(batch.pictures[0], own) != torch.equal(batch.pictures[0], own.flip(2))
            found.add(torch.equal(batch.pictures[0], own.flip(2)))
        assert found == sorts


def test_a_mean_image_is_subtracted_where_the_crop_is(images: ImageSet) -> None:
    """Then the picture is mirrored: what was taken off a pixel is what lies there in the mean image."""
    values = np.random.default_rng(0).random((3, SIDE + 4, SIDE + 4), np.float32)
    plain = Preprocessing(resize=SIDE + 4, height=SIDE, width=SIDE, mean=(0, 0, 0), deviation=(1, 1, 1))
    less = replace(plain, mean_image=MeanImage.of(values))
    order = np.random.default_rng((0, 0)).permutation(len(images))
    draws = np.random.default_rng((0, 0, 1)).random((len(images), 3))[order]
    taken = [
        whole.pictures - batch.pictures
        for batch, whole in zip(*(Batches(images, one, 4, 0).epoch(0) for one in (less, plain)), strict=True)
    ]
    for found, (down, across, turned) in zip(torch.cat(taken), draws, strict=False):
        top, left = round(4 * down), round(4 * across)
        there = torch.from_numpy(values[:, top : top + SIDE, left : left + SIDE])
        torch.testing.assert_close(found.flip(2) if turned < 0.5 else found, there, atol=1e-6, rtol=0)


def test_pictures_stay_decoded_where_there_is_room(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []
    load = type(images).load

    def counted(self: ImageSet, index: int) -> Loaded:
        loaded.append(index)
        return load(self, index)

    monkeypatch.setattr(type(images), "load", counted)
    seen = []
    for room, times in ((1 << 20, 1), (0, 2)):
        monkeypatch.setattr("layerscope.train.batches._ROOM", room)
        loaded.clear()
        batches = Batches(images, SMALL, 6, seed=0)
        seen.append([batch.pictures for number in (0, 1) for batch in batches.epoch(number)])
        assert max(Counter(loaded).values()) == times
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))


def test_centred_batches_have_every_picture_once(images: ImageSet) -> None:
    batches = Batches(images, SMALL, 7, seed=0)
    found = list(batches.centred())
    assert [len(batch.labels) for batch in found] == [7, 7, 4]
    assert torch.cat([batch.labels for batch in found]).tolist() == list(images.labels or ())
    expected = SMALL.apply(images.load(8).image)
    assert torch.equal(found[1].pictures[1], expected)


def test_memory_is_used_again_when_nobody_holds_what_is_in_it(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, empty = list[object](), np.empty

    def counted(shape: object, *given: Any, **named: Any) -> Any:
        made.extend([shape] if shape == (1, SIDE, SIDE, 3) else [])
        return empty(shape, *given, **named)

    monkeypatch.setattr(np, "empty", counted)
    batches = Batches(images, SMALL, 1, seed=0)
    held = next(batches.epoch(0)).pictures[:, :1]  # a part holds all of it
    before, count = held.clone(), 0
    made.clear()
    for batch in batches.epoch(1):
        assert not batch.pictures.isnan().any()
        assert batch.pictures.data_ptr() != held.data_ptr()
        batch.pictures.fill_(torch.nan)
        count += 1
    assert count == batches.count == 18
    assert len(made) <= 8  # those that wait, those being made, the one held here, and the one before
    assert torch.equal(held, before)


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_processes_share_the_centred_pictures(images: ImageSet, parts: int) -> None:
    """Each picture is seen by one of them, in batches no larger than those of a step; a share may be empty."""
    batches = Batches(images, SMALL, 24, seed=0, parts=parts)
    shares = [list(replace(batches, part=part).centred()) for part in range(parts)]
    assert {len(batch.labels) for share in shares for batch in share} <= set(range(1, 24 // parts + 1))
    assert [bool(share) for share in shares] == [part * (24 // parts) < len(images) for part in range(parts)]
    seen = torch.cat([batch.pictures for share in shares for batch in share])
    whole = torch.cat([batch.pictures for batch in Batches(images, SMALL, 4, seed=0).centred()])
    assert sorted(seen.flatten(1).sum(1).tolist()) == sorted(whole.flatten(1).sum(1).tolist())
