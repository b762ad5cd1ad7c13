"""Reading ahead: in order, bounded, bad pictures in their place, and no thread left behind."""

import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from layerscope.errors import DisplayError, ImageError, NetworkError
from layerscope.images.ahead import Ready, read_ahead
from layerscope.images.bands import Decoded
from layerscope.images.decoding import load_image
from layerscope.images.sets import ImageSet, Loaded, open_images
from tests.support.pictures import LOG, noise, saved, written

PATIENCE = 30  # seconds until a test that hangs fails


@dataclass(frozen=True, eq=False)
class Numbered(ImageSet):
    """Pictures as wide as their index + 1; ``before`` is called with each index, and may raise."""

    before: Callable[[int], object]
    begun: list[int] = field(default_factory=list)

    def load(self, index: int) -> Loaded:
        self.begun.append(index)
        self.before(index)
        return Loaded(Image.new("RGB", (index + 1, 2)), f"{index:016x}")


def numbered(amount: int = 100, before: Callable[[int], object] = str) -> Numbered:
    return Numbered(tuple(map(str, range(amount))), None, None, "numbered", "0", before)


def width(image: Decoded) -> int:
    return image.width


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pictures")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert readers() == []


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 3, 64])
def test_in_the_order_asked_for(workers: int, ahead: int) -> None:
    indices = [5, 3, 3, 99, 0, *range(50)]
    images = numbered(before=lambda index: time.sleep(0.002 * (index % 3)))
    results = list(read_ahead(images, indices, width, workers, ahead=ahead))
    assert results == [Ready(i, i + 1, f"{i:016x}", i + 1, 2, None) for i in indices]


def test_nothing_asked_for() -> None:
    assert list(read_ahead(numbered(), [], width)) == []


def test_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2)
    images = numbered(2, before=lambda _: both.wait(PATIENCE))
    assert [ready.value for ready in read_ahead(images, range(2), width, 2)] == [1, 2]


def test_it_reads_ahead_but_not_far() -> None:
    images = numbered()
    results = read_ahead(images, count(), width, 2, ahead=7)
    assert next(results).value == 1
    wait_for(lambda: len(images.begun) == 8)  # the one handed out, and seven more
    time.sleep(0.05)
    assert sorted(images.begun) == list(range(8))
    assert next(results).value == 2
    wait_for(lambda: len(images.begun) == 9)
    results.close()


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_bad_pictures_come_as_their_reason(tmp_path: Path) -> None:
    for name in "abcd":
        saved(noise(8, 6), tmp_path / f"{name}.png")
    written(tmp_path / "b.png", b"nonsense")
    images = open_images(tmp_path)
    (tmp_path / "c.png").unlink()
    a, b, c, d = read_ahead(images, range(4), load_nothing)
    assert a == Ready(0, None, images.load(0).digest, 8, 6, None)
    assert str(b.reason).startswith("no picture of a known format")
    assert str(c.reason).startswith("cannot be opened (No such file")
    assert (b.value, b.digest, b.width, b.height) == (None, "", 0, 0)
    assert d.reason is None


def load_nothing(image: Decoded) -> None:
    assert getattr(image, "mode", "") == "RGB"


def test_what_cannot_be_prepared_is_a_bad_picture_if_it_says_so() -> None:
    def narrow(image: Decoded) -> int:
        if image.width > 1:
            raise ImageError("too wide; cut it")
        return image.width

    assert [ready.reason for ready in read_ahead(numbered(2), range(2), narrow)] == [None, "too wide; cut it"]


@pytest.mark.parametrize(
    "error", [OverflowError("too long"), ValueError("no such\nsize"), ZeroDivisionError("by 0")]
)
def test_what_a_picture_makes_of_its_preparation_is_its_reason(error: Exception) -> None:
    def fail(image: Decoded) -> int:
        if image.width == 2:
            raise error
        return image.width

    reasons = [ready.reason for ready in read_ahead(numbered(3), range(3), fail)]
    said = " ".join(str(error).split())
    assert reasons == [None, f"2 x 2, cannot be prepared ({said}); leave it out", None]


@pytest.mark.parametrize(
    "error", [NetworkError("2 channels"), DisplayError("no"), KeyError("x"), MemoryError()]
)
def test_other_errors_go_up(error: Exception) -> None:
    def fail(image: Decoded) -> int:
        if image.width == 3:
            raise error
        return image.width

    results = read_ahead(numbered(), range(100), fail, ahead=1)
    assert [next(results).value for _ in range(2)] == [1, 2]
    with pytest.raises(type(error)) as caught:
        next(results)
    assert caught.value is error


def test_an_error_does_not_wait_for_its_turn() -> None:
    first_is_out = threading.Event()

    def fail_fifth(index: int) -> None:
        if index == 5:
            assert first_is_out.wait(PATIENCE)
            raise KeyError("fifth")

    images = numbered(before=fail_fifth)
    results = read_ahead(images, range(40), width, 1)
    assert next(results).index == 0
    first_is_out.set()
    wait_for(lambda: 6 in images.begun)
    with pytest.raises(KeyError):
        next(results)


@pytest.mark.parametrize("leave", [None, RuntimeError, KeyboardInterrupt])
def test_leaving_early_drops_what_has_not_begun(leave: type[BaseException] | None) -> None:
    images = numbered(before=lambda _: time.sleep(0.005))
    seen = []
    try:
        for ready in read_ahead(images, count(), width, 2, ahead=90):
            seen.append(ready.index)
            if leave is not None:
                raise leave
            break
    except (RuntimeError, KeyboardInterrupt) as error:
        error.__traceback__ = None  # or it keeps the loop, and the iterator in it, alive
    wait_for(lambda: not readers())
    assert seen == [0]
    assert len(images.begun) < 20


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
def test_an_interrupt_while_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: interrupt(released))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            next(read_ahead(numbered(before=lambda _: released.wait(PATIENCE)), range(9), width))
    finally:
        signal.signal(signal.SIGALRM, before)


def interrupt(released: threading.Event) -> None:
    released.set()
    raise KeyboardInterrupt


def test_an_iterator_never_begun_has_no_threads() -> None:
    results = read_ahead(numbered(), range(9), width)
    assert readers() == []
    del results


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (1, 0)])
def test_someone_must_work(workers: int, ahead: int) -> None:
    with pytest.raises(ValueError, match=r"0"):
        next(read_ahead(numbered(), range(9), width, workers, ahead=ahead))


def test_filters_of_warnings_and_pillow_stay_as_they_were(tmp_path: Path) -> None:
    path = saved(noise(), tmp_path / "a.png")
    filters, limit, handlers = list(warnings.filters), Image.MAX_IMAGE_PIXELS, list(LOG.handlers)
    images = open_images([path])
    results = read_ahead(images, [0] * 200, width, 2, ahead=4)
    for number, ready in enumerate(results):
        assert ready.value == 64
        with (
            warnings.catch_warnings()
        ):  # in step with decoders that do the same, were these not kept out of it
            warnings.simplefilter("ignore")
            load_image(path)
        if number == 150:
            break
    results.close()
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS, LOG.handlers) == (filters, limit, handlers)
