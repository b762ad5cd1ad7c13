"""What holds for every test."""

from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)  # processes of tests run side by side; threads show in the last bits of results


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """A test that asks for more threads leaves one."""
    yield
    torch.set_num_threads(1)
