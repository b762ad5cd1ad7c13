"""The export as a folder: what it writes, keeps, goes on with, removes and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from layerscope.cli.main import main
from layerscope.errors import LayerscopeError, OutputError, StudyError
from layerscope.explorer import export as exports
from layerscope.explorer.contents import Copied, Made
from layerscope.explorer.export import RECORD, export_study
from layerscope.explorer.site import INDEX, Site
from layerscope.progress import Progress
from layerscope.study.folder import Study
from tests.support.explorer import Shown
from tests.support.studies import bytes_of


def test_an_export_holds_the_site_and_says_the_same_again(shown: Shown, page: Path, tmp_path: Path) -> None:
    made = export_study(shown.study, tmp_path / "out", comparison=shown.comparison)
    site = Site.open(shown.study, shown.comparison)
    held = bytes_of(tmp_path / "out")
    assert set(held) == {*site.contents, RECORD}
    assert made.files == made.written == len(site.contents)
    assert made.size == sum((tmp_path / "out" / path).stat().st_size for path in site.contents)
    assert made.address == (tmp_path / "out" / INDEX).as_uri()
    assert list(site.contents)[-1] == INDEX
    tiles = [path for path in site.contents if "_files/" in path]
    assert tiles
    for path in tiles:
        assert (tmp_path / "out" / path).read_bytes()[:2] == b"\xff\xd8"
    again = export_study(shown.study, tmp_path / "out", comparison=shown.comparison)
    assert again.written == 0
    assert bytes_of(tmp_path / "out") == held
    export_study(shown.study.path, tmp_path / "other", comparison=shown.comparison.path)
    assert bytes_of(tmp_path / "other") == held


def test_a_comparison_alone_is_exported_too(shown: Shown, page: Path, tmp_path: Path) -> None:
    export_study(shown.comparison, tmp_path / "out")
    held = bytes_of(tmp_path / "out")
    assert "data/compare/alexcnn/vggcnn/pair.js" in held
    assert "data/alexcnn/layers/c2/filters.js" in held
    assert not [path for path in held if "/spaces/" in path]


@pytest.mark.parametrize("moment", [0, 1, 7, 30])
def test_an_export_that_was_stopped_goes_on(
    shown: Shown, page: Path, tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_OFTEN", 0.0)  # on record at once
    left = iter(range(moment))

    def stop(_: Progress) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_study(shown.study, tmp_path / "out", comparison=shown.comparison, progress=stop)
    assert not (tmp_path / "out" / INDEX).exists()
    made = export_study(shown.study, tmp_path / "out", comparison=shown.comparison)
    assert made.written == made.files - moment
    export_study(shown.study, tmp_path / "whole", comparison=shown.comparison)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_only_what_changed_is_written(shown: Shown, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_study(shown.study, out)
    before = bytes_of(out)
    (out / "data" / "study.js").write_text("spoilt")
    (out / "data" / "alexcnn" / "layers" / "c2" / "filters.js").unlink()
    made = export_study(shown.study, out)
    assert made.written == 2
    assert bytes_of(out) == before
    (page / "app.js").write_text("1;")
    assert export_study(shown.study, out).written == 1
    more = export_study(shown.study, out, comparison=shown.comparison)
    after = bytes_of(out)
    changed = [path for path in before if path != RECORD and after[path] != before[path]]
    assert {path.split("/")[0] for path in changed} == {"app.js", "data"}
    assert more.written == len(changed) - 1 + len(after.keys() - before.keys())


def test_what_the_site_has_no_more_is_removed_and_nothing_else(
    shown: Shown, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_study(shown.study, out, comparison=shown.comparison)
    (out / "data" / "compare" / "notes.txt").write_text("mine")
    (out / "mine").mkdir()
    (out / "mine" / "too.txt").write_text("mine")
    export_study(shown.study, out)
    held = bytes_of(out)
    assert "data/compare/notes.txt" in held
    assert "mine/too.txt" in held
    assert not [path for path in held if path.startswith("compare/")]
    assert not (out / "compare").exists()
    assert set(held) - {"data/compare/notes.txt", "mine/too.txt", RECORD} == set(
        Site.open(shown.study).contents
    )


def test_files_of_others_are_not_touched(shown: Shown, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files \(thesis.tex\)"):
        export_study(shown.study, out)
    assert bytes_of(out).keys() == {"thesis.tex"}
    (out / "thesis.tex").unlink()
    export_study(shown.study, out)
    (out / "data" / "compare").mkdir()
    in_the_way = out / "data" / "compare" / "alexcnn" / "vggcnn"
    in_the_way.mkdir(parents=True)
    (in_the_way / "pair.js").write_text("mine")
    with pytest.raises(OutputError, match=r"pair.js is in the way"):
        export_study(shown.study, out, comparison=shown.comparison)
    assert (in_the_way / "pair.js").read_text() == "mine"


def test_what_is_refused(shown: Shown, page: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="name a folder outside it"):
        export_study(shown.study, shown.study.path / "site")
    with pytest.raises(StudyError, match="is no comparison"):
        export_study(shown.study, tmp_path / "out", comparison=shown.study)
    other = Study(shown.study.path, {**shown.study.manifest, "digest": "0" * 64})
    with pytest.raises(StudyError, match="does not compare"):
        export_study(other, tmp_path / "out", comparison=shown.comparison)
    export_study(shown.study, tmp_path / "out")
    with pytest.raises(OutputError, match="export of another study"):
        export_study(shown.comparison, tmp_path / "out")
    (page / INDEX).unlink()
    with pytest.raises(StudyError, match="installed without its pages"):
        export_study(shown.study, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_record_that_is_damaged_is_refused(shown: Shown, page: Path, tmp_path: Path) -> None:
    export_study(shown.study, tmp_path / "out")
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    spoilt: object
    for spoilt in ({**record, "format": 2}, {**record, "files": []}, []):
        (tmp_path / "out" / RECORD).write_text(json.dumps(spoilt))
        with pytest.raises(LayerscopeError, match=RECORD):
            export_study(shown.study, tmp_path / "out")


def test_nothing_outside_the_study_is_read(shown: Shown, page: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(shown.study.path, copy)
    tile = next(path for path in Site.open(copy).contents if path.endswith("fill_files/0/0_0.jpg"))
    content = Site.open(copy).contents[tile]
    assert isinstance(content, Copied)
    (tmp_path / "secret").write_text("secret")
    content.path.unlink()
    content.path.symlink_to(tmp_path / "secret")
    with pytest.raises(StudyError, match="is a link out of"):
        content.read()
    with pytest.raises(StudyError, match="is a link out of"):
        export_study(copy, tmp_path / "out")


def test_the_command_says_how_to_open_it_and_what_is_lacking(
    shown: Shown, page: Path, tmp_path: Path
) -> None:
    words = ["export", str(shown.study.path), str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    count = len(Site.open(shown.study).contents)
    size = sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name != RECORD)
    assert done.stdout.splitlines() == [
        f"{count:,} files, {size / 1e6:,.1f} MB; {count:,} of them written now",
        f"open {(tmp_path / 'out' / INDEX).as_uri()} in a browser",
    ]
    lacks = done.stderr.splitlines()
    assert len(lacks) == 2
    assert lacks[1] == (
        f"no comparison: layerscope compare {shown.study.path} --out DIR, and here --comparison DIR"
    )
    done = CliRunner().invoke(main, [*words, "--comparison", str(shown.comparison.path)])
    assert len(done.stderr.splitlines()) == 1
    done = CliRunner().invoke(main, ["export", str(tmp_path / "none"), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1


def test_shards_are_made_once_asked_for(site: Site) -> None:
    assert all(
        isinstance(content, Made) for path, content in site.contents.items() if path.startswith("data/")
    )
