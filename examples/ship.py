"""The weights of a training rounded to float16, with all that they say of themselves: half as large, to be given away.

Run: ``python examples/ship.py trained/weights.safetensors alexcnn.safetensors``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from layerscope.errors import LayerscopeError
from layerscope.train.checkpoints import save_tensors
from layerscope.zoo.states import load_state
from layerscope.zoo.trained import described


def main(weights: Path, out: Path) -> None:
    """Write them, and print the SHA-256 of the file."""
    tensors = {name: tensor.half() for name, tensor in load_state(weights).items()}
    if wrong := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        sys.exit(f"{weights}: {wrong[0]} has values that float16 does not")
    save_tensors(out, tensors, described(weights))
    print(hashlib.sha256(out.read_bytes()).hexdigest(), f"{out.stat().st_size:,} bytes", out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path, help="of a training")
    parser.add_argument("out", type=Path, help="the file to write")
    given = parser.parse_args()
    try:
        main(given.weights, given.out)
    except LayerscopeError as error:
        sys.exit(str(error))
