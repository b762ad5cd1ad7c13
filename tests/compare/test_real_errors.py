"""Errors of a network with known weights over pictures with known labels."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from layerscope.cli.main import main
from layerscope.errors import WeightsError
from layerscope.zoo.downloads import members, received_from_registry
from layerscope.zoo.weights import fetch

WHEEL = "foolbox-3.3.4-py3-none-any.whl"
DIGEST = "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb"
LABELS = (
    243, 559, 438, 990, 949, 853, 609, 609, 915, 455, 541, 630, 741, 471, 129, 99, 251, 22, 317, 305,
)  # fmt: skip
NAMES = [f"imagenet_{number:02d}_{label}.jpg" for number, label in enumerate(LABELS)]


@pytest.mark.slow
def test_mobilenet_v2_names_18_of_20_and_all_among_five(tmp_path: Path) -> None:
    try:
        fetch("mobilenet_v2")
        with received_from_registry("foolbox", WHEEL, DIGEST, tmp_path) as archive:
            for name, stream in members(archive, [f"foolbox/data/{name}" for name in NAMES]):
                (tmp_path / Path(name).name).write_bytes(stream.read(1 << 24))
    except WeightsError as error:
        pytest.skip(str(error))
    rows = [f"{name},{label}\n" for name, label in zip(NAMES, LABELS, strict=True)]
    (tmp_path / "list.csv").write_text("".join(["path,label\n", *rows]))
    words = ["evaluate", str(tmp_path / "list.csv"), "-n", "mobilenet_v2", "--out", str(tmp_path / "errors")]
    said = CliRunner().invoke(main, words, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    errors = "top-1 error 10.0% (95 % interval 2.8% to 30.1%), top-5 error 0.0% (0.0% to 16.1%)"
    assert f"mobilenet_v2: {errors}, of 20 labelled pictures." in said.output
