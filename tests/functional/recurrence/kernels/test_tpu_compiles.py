"""Every TPU kernel compiles for every generation. Nothing here runs on a TPU."""

import json
import subprocess
import sys

import pytest


@pytest.mark.tpu_compiler
@pytest.mark.parametrize("chip", ["v4", "v5e", "v5p", "v6e", "7x"])
def test_every_kernel_compiles(chip):
    # A process of its own, since the compiler reads its environment when it is loaded.
    module = "tests.functional.recurrence.kernels.tpu_compiler"
    command = [sys.executable, "-m", module, chip]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=600)
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["failures"] == {}
    # One launch in each pass computes all steps.
    assert (found["kernels"], found["loops"]) == (2, 0)
