"""Finding picture files."""

import inspect
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from layerscope.errors import ImageError
from layerscope.images.decoding import FORMATS, load_image
from layerscope.images.finding import SUFFIXES, find_images
from tests.support.pictures import noise, reason


class TestFind:
    def test_folder_is_searched_to_its_bottom_sorted_and_without_the_hidden(self, tmp_path: Path) -> None:
        wanted = ["B.JPG", "a.png", "a/x.webp", "a/y/z.TIFF", "a.d/q.gif", "c.bmp", "é.jpeg"]
        for name in [*wanted, ".hidden.jpg", ".cache/a.jpg", "notes.txt", "png", "x.jpg.bak"]:
            written_below = tmp_path / name
            written_below.parent.mkdir(exist_ok=True)
            written_below.touch()
        found = find_images([tmp_path])
        assert found == tuple(sorted(tmp_path / name for name in wanted))
        assert find_images([str(tmp_path)]) == found

    @pytest.mark.parametrize("suffix", sorted(SUFFIXES))
    def test_every_suffix_in_any_case(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").touch()
        (tmp_path / f"b{suffix.upper()}").touch()
        assert len(find_images([tmp_path])) == 2

    def test_the_suffixes_are_those_of_the_formats_that_are_read(self) -> None:
        """Of Pillow's own list, but for what has no defined white (pfm)."""
        Image.init()
        endings = {e for e, name in Image.registered_extensions().items() if name in {*FORMATS, "MPO"}}
        assert endings - {".pfm"} == SUFFIXES

    @pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".mpo"}))
    def test_a_picture_saved_under_each_suffix_is_read(self, tmp_path: Path, suffix: str) -> None:
        picture = noise().convert({".pgm": "L", ".pbm": "1"}.get(suffix, "RGB"))
        picture.save(tmp_path / f"a{suffix}")
        (found,) = find_images([tmp_path])
        assert load_image(found).size == picture.size

    def test_a_picture_of_several_in_one_file_is_read(self, tmp_path: Path) -> None:
        noise().save(tmp_path / "a.mpo", save_all=True, append_images=[noise(seed=1)])
        (found,) = find_images([tmp_path])
        assert load_image(found).size == noise().size

    def test_what_is_passed_over_is_said_by_kinds(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("a.png", "b.heic", "c.HEIC", "d.txt", "LICENSE", ".hidden", "x.\x1b[2J"):
            (tmp_path / name).touch()
        find_images([tmp_path, tmp_path / "d.txt"])
        (record,) = caplog.records
        kinds = "2 .heic, 1 without an ending, 1 .\\x1b[2j, 1 .txt"
        assert record.getMessage() == f"{tmp_path}: passed over 5 files: {kinds}"

    def test_many_kinds_are_counted_and_one_file_is_one(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for place in ("many", "one"):
            (tmp_path / place).mkdir()
            (tmp_path / place / "a.png").touch()
        for letter in "abcdefgh":
            (tmp_path / "many" / f"x.{letter}").touch()
        (tmp_path / "one" / "x.txt").touch()
        find_images([tmp_path / "many", tmp_path / "one"])
        many, one = caplog.messages
        assert many.endswith("passed over 8 files: 1 .a, 1 .b, 1 .c, 1 .d, 1 .e, 3 other kinds")
        assert one.endswith("passed over 1 file: 1 .txt")

    def test_nothing_passed_over_is_not_said(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "a.png").touch()
        find_images([tmp_path])
        assert caplog.records == []

    def test_a_named_file_is_taken_whatever_its_name(self, tmp_path: Path) -> None:
        odd = [tmp_path / name for name in (".hidden", "picture", "notes.txt")]
        for path in odd:
            path.touch()
        assert find_images(odd) == tuple(odd)

    def test_order_given_is_kept_and_each_file_comes_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in "abc":
            (tmp_path / f"{name}.png").touch()
        monkeypatch.chdir(tmp_path)
        b = tmp_path / "b.png"
        assert find_images([b, tmp_path, Path("b.png"), tmp_path / ".." / tmp_path.name / "b.png"]) == (
            b,
            tmp_path / "a.png",
            tmp_path / "c.png",
        )

    def test_a_folder_given_twice_is_no_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").touch()
        assert find_images([tmp_path, tmp_path]) == (tmp_path / "a.png",)

    def test_nothing_in_nothing_out(self) -> None:
        assert find_images([]) == ()

    def test_links_are_followed_and_loops_end(self, tmp_path: Path) -> None:
        inside, outside = tmp_path / "inside", tmp_path / "outside"
        (inside / "deep").mkdir(parents=True)
        outside.mkdir()
        (outside / "o.png").touch()
        (inside / "deep" / "d.png").touch()
        (inside / "deep" / "up").symlink_to(inside)
        (inside / "itself").symlink_to(inside / "itself")
        (inside / "link").symlink_to(outside)
        (inside / "same.png").symlink_to(inside / "deep" / "d.png")
        assert find_images([inside]) == (inside / "deep" / "d.png", inside / "link" / "o.png")

    def test_a_broken_link_is_found_so_that_reading_reports_it(self, tmp_path: Path) -> None:
        link = tmp_path / "gone.png"
        link.symlink_to(tmp_path / "nowhere")
        assert find_images([tmp_path]) == (link,)
        assert "cannot be opened" in reason(link)

    def test_a_tree_deeper_than_the_stack(self, tmp_path: Path) -> None:
        deep = tmp_path.joinpath(*["d"] * 150, "deep.png")
        deep.parent.mkdir(parents=True)
        deep.touch()
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack(0)) + 100)
        try:
            assert find_images([tmp_path]) == (deep,)
        finally:
            sys.setrecursionlimit(usual)

    @pytest.mark.parametrize("name", ["absent", "absent/a.jpg", "n\0l", "x" * 5000])
    def test_an_absent_place_is_named(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ImageError, match=r"cannot be reached .*check the path") as caught:
            find_images([tmp_path / name])
        assert "\n" not in str(caught.value)

    def test_a_folder_without_pictures_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        (tmp_path / ".a.jpg").touch()
        with pytest.raises(ImageError, match=r"no picture .*\.webp") as caught:
            find_images([tmp_path])
        assert str(caught.value).startswith(str(tmp_path))

    def test_a_folder_that_may_not_be_read_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.png").touch()
        closed = tmp_path / "closed"
        closed.mkdir()
        really_scan = os.scandir

        def scan(path: Path) -> object:
            if path == closed:
                raise PermissionError(13, "Permission denied", str(path))
            return really_scan(path)

        monkeypatch.setattr(os, "scandir", scan)
        with pytest.raises(ImageError, match=r"closed: folder cannot be read \(Permission denied\)"):
            find_images([tmp_path])


@pytest.mark.parametrize(
    "held", [["study.json"], ["results.json", "panels/"], ["lock", "panels/"], ["work/begun.json"]]
)
def test_folders_of_results_are_left_out_and_said(
    held: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo, figure = tmp_path / "a.png", tmp_path / "out" / "figure.png"
    for file in (photo, figure, *(tmp_path / "out" / name for name in held)):
        file.parent.mkdir(parents=True, exist_ok=True)
    for name in held:
        place = tmp_path / "out" / name
        place.mkdir() if name.endswith("/") else place.write_text("{}")
    for file in (photo, figure):
        file.write_bytes(b"")
    assert find_images([tmp_path]) == (photo,)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'out'} is left out: it holds results, no pictures of yours"
    ]
    with pytest.raises(ImageError, match="no picture of yours but results in this folder"):
        find_images([tmp_path / "out"])
    (tmp_path / "out" / held[0].rstrip("/")).rename(tmp_path / "out" / "other")
    assert find_images([tmp_path]) == (photo, figure)
