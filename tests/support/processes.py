"""The command line in several processes, as torchrun starts them."""

import os
import subprocess
import sys


def in_two_processes(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command of layerscope in two processes on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "layerscope", *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
