"""The whole paper by one command: Fig. 1 to 7, Tables 1 and 2, the error rates, and its claims with verdicts.

Works with VGG-16 and AlexNet (ImageNet, without fully-connected layers) on photographs, and with VGGCNN and AlexCNN
(Fashion-MNIST, whole). Goes on where it ended. Run: ``python examples/paper/paper.py FOLDER``, or with ``--part NAME``,
which may be repeated, for some of it; the part ``stamps``, which trains both at the paper's size for some five
hours, is made only when it is named. Pictures come from scikit-image and Debian's packages lomiri-wallpapers-16.04,
lomiri-wallpapers-20.04, mate-backgrounds, tuxpaint-stamps-default and dataset-fashion-mnist; a part whose pictures are
not there is left out, and says what to install.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from page import write_page
from parts import LONG, PARTS, made_section
from section import Section
from sets import MissingError
from studies import Room

from layerscope.cli.progress import progress_bar
from layerscope.errors import LayerscopeError

SOME_MISSING = 3  # exit code


def main(room: Room, names: list[str]) -> dict[str, str]:
    """Make the parts of these names, then the page of all that are there. Returns why others are not."""
    missing = {}
    for name in names:
        print(f"{name} ...", flush=True)
        try:
            made_section(name, room).save(room.folder)
        except (MissingError, LayerscopeError) as reason:
            missing[name] = str(reason)
            print(f"{name} is left out: {reason}", file=sys.stderr, flush=True)
    sections = [section for name in PARTS if (section := Section.read(room.folder, name))]
    page, *others = write_page(room.folder, sections, missing)
    print(f"\nLook at:\n  {page}, in a browser")
    for path in (*others, room.folder / "figures", room.folder / "tables"):
        print(f"  {path}")
    return missing


def arguments(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("paper"))
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this; repeat it for more")
    parser.add_argument(
        "--trained",
        nargs=2,
        default=("fashion", "fashion"),
        metavar=("ALEXCNN", "VGGCNN"),
        help="weights of the pair trained on Fashion-MNIST; those that come with layerscope unless given",
    )
    asked = parser.parse_args(words)
    asked.part = asked.part or [name for name in PARTS if name not in LONG]
    return asked


if __name__ == "__main__":
    asked = arguments(sys.argv[1:])
    with progress_bar() as told:
        place = Room(asked.folder, tuple(asked.trained), progress=told)
        left_out = main(place, asked.part)
    sys.exit(SOME_MISSING if left_out else 0)
