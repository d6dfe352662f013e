"""What `jaxnets doctor` says about memory that is touched for the first time."""

import pytest

from jaxnets.training import allocator
from jaxnets.training.allocator import NewMemory, allocator_row


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("libtcmalloc.so.4", "put LD_PRELOAD=libtcmalloc.so.4 before"),
        (None, "install libtcmalloc-minimal4 (Debian, Ubuntu) and put LD_PRELOAD="),
    ],
)
def test_pages_that_fault_at_every_call_have_a_remedy(monkeypatch, library, words):
    monkeypatch.setattr(allocator, "find_library", lambda name: library)
    text = allocator_row(NewMemory(faults=16_385, new=0.04, kept=0.008))
    assert "takes 40 ms in new memory, and 8 ms in memory that is reused" in text
    assert "16,385 new pages" in text and words in text
    # Huge pages make few faults.
    assert "LD_PRELOAD" not in allocator_row(NewMemory(32, 0.009, 0.008))
