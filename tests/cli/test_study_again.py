"""`layerscope study` beside portraits that are there, and with networks that have none or no chart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from torch import nn

from layerscope.cli.main import main
from layerscope.network.preprocessing import Preprocessing
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from tests.support.studies import bytes_of, write_pictures

PASS = ("--batch", "2", "--top", "2")
HERE = "tests.cli.test_study_again"


class Own(nn.Sequential):
    """A network for pictures of 16 x 16."""

    preprocessing = Preprocessing(resize=None, height=16, width=16)


def plain() -> nn.Module:
    """What the deconvnet covers."""
    return Own(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(196, 5))


def smooth() -> nn.Module:
    """What it has no rule for."""
    return Own(nn.Conv2d(3, 4, 3), nn.Hardtanh(), nn.Conv2d(4, 4, 3), nn.Hardtanh())


def unruly() -> nn.Module:
    """What no rule covers."""
    return Own(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU())


def flat() -> nn.Module:
    """Neither convolution nor pool."""
    return Own(nn.Flatten(), nn.Linear(768, 6), nn.ReLU(), nn.Linear(6, 5))


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def portraits_of(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in bytes_of(folder).items() if "/filters/" in name}


def test_a_network_that_the_rule_does_not_cover_leaves_the_others_theirs(tmp_path: Path) -> None:
    photos, out = write_pictures(tmp_path / "photos", 4, ()), tmp_path / "s"
    words = (
        "study",
        photos,
        "-n",
        f"{HERE}:smooth",
        "-n",
        f"{HERE}:plain",
        *PASS,
        "--filters",
        "all",
        "--out",
        out,
    )
    made = run(*words)
    assert made.exit_code == 3
    (line,) = made.stderr.splitlines()
    assert line.startswith(f"no portraits of {HERE}:smooth: deconvnet has no rule for hardtanh")
    assert line.endswith(f"; `layerscope filters {out} -n {HERE}:smooth --rule gradient` makes them")
    assert "4 of 4 pictures" in made.stdout
    study = Study.open(out)
    assert "filters" not in study.network(f"{HERE}:smooth").results
    assert "filters" in study.network(f"{HERE}:plain").results
    assert run("filters", out, "-n", f"{HERE}:smooth", "--rule", "gradient").exit_code == 0
    before = portraits_of(out)
    again = run(*words)
    assert (again.exit_code, again.stderr) == (0, "")
    assert portraits_of(out) == before


@pytest.mark.filterwarnings("ignore::layerscope.errors.NetworkWarning")  # as is said when it is read
def test_a_network_that_no_rule_covers(tmp_path: Path) -> None:
    photos, out = write_pictures(tmp_path / "photos", 3, ()), tmp_path / "s"
    made = run("study", photos, "-n", f"{HERE}:unruly", *PASS, "--filters", "all", "--out", out)
    assert made.exit_code == 3
    (line,) = made.stderr.splitlines()
    alone = f"`layerscope filters {out} -n {HERE}:unruly --rule none` shows patches alone"
    assert line.endswith(f"give it running statistics (track_running_stats=True); {alone}")
    assert run("filters", out, "-n", f"{HERE}:unruly", "--rule", "none").exit_code == 0
    assert (
        Study.open(out).steps[f"{Study.open(out).network(f'{HERE}:unruly').folder}/filters"]["rule"] == "none"
    )


def test_a_network_without_convolution_or_pool(tmp_path: Path) -> None:
    photos, out = write_pictures(tmp_path / "photos", 4, ()), tmp_path / "s"
    made = run("study", photos, "-n", f"{HERE}:flat", *PASS, "--filters", "all", "--out", out)
    assert (made.exit_code, made.stderr) == (0, "")
    study = Study.open(out)
    assert set(study.steps) == {"sources"}
    assert study.steps["sources"]["images"] == [str(photos)]
    assert run("filters", out, "--layers", "all").exit_code == 0
    both = run(
        "study",
        photos,
        "-n",
        f"{HERE}:flat",
        "-n",
        f"{HERE}:plain",
        *PASS,
        "--filters",
        "all",
        "--out",
        tmp_path / "both",
    )
    assert (both.exit_code, both.stderr) == (0, "")
    assert (tmp_path / "both" / "sparsity.png").exists()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_study_again_keeps_portraits_as_they_are(tmp_path: Path, dtype: str) -> None:
    photos, out = write_pictures(tmp_path / "photos", 4, ()), tmp_path / "s"
    words = (
        "study",
        photos,
        "-n",
        f"{HERE}:plain",
        *PASS,
        "--filters",
        "0-1",
        "--dtype",
        dtype,
        "--out",
        out,
    )
    assert run(*words).exit_code == 0
    first = portraits_of(out)
    assert run("filters", out, "--layers", "2").exit_code == 0
    added = portraits_of(out)
    assert first.items() < added.items()
    other = "float32" if dtype == "bfloat16" else "bfloat16"
    redrawn = run("filters", out, "--rule", "guided", "--display", "heat", "--dtype", other)
    assert redrawn.exit_code == 0
    drawn = bytes_of(out)
    assert portraits_of(out).items().isdisjoint(first.items())
    assert run(*words).exit_code == 0
    assert bytes_of(out) == drawn
    assert check_study(out) == ()


def test_the_whole_command_again_is_the_same_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Done, done again, and broken off at every step on the way and then done: one and the same folder."""
    photos, out = write_pictures(tmp_path / "photos", 4, ()), tmp_path / "s"
    words = (
        "study",
        photos,
        "-n",
        f"{HERE}:plain",
        *PASS,
        "--input-size",
        "16x16",
        "--filters",
        "0-1",
        "--out",
        out,
    )
    assert run(*words).exit_code == 0
    whole, before = bytes_of(out), times(out)
    assert run(*words).exit_code == 0
    assert (bytes_of(out), times(out)) == (whole, before)
    for broken in ("add_charts", "remember_sources", "top_filters", "finish_portraits"):
        shutil.rmtree(out)
        with monkeypatch.context() as patch:
            patch.setattr(BREAKS[broken], fail)
            with pytest.raises(ZeroDivisionError):
                run(*words)
        assert run(*words).exit_code == 0
        assert bytes_of(out) == whole
    steps = list(Study.open(out).steps)
    for step in steps:  # lost, and done again in another order than the first time
        with Study.open(out).open_step(step) as lost:
            lost.clear()
    assert run(*words).exit_code == 0
    assert bytes_of(out) == whole
    assert check_study(out) == ()


BREAKS = {
    "add_charts": "layerscope.pipeline.show_sparsity",
    "remember_sources": "layerscope.pipeline.remember_sources",
    "top_filters": "layerscope.filters.portraits.top_filters",
    "finish_portraits": "layerscope.filters.portraits.finish_portraits",
}


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
