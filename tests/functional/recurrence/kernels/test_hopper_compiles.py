"""Every kernel for Hopper compiles for an H200. Nothing here runs on a GPU."""

import importlib.util
import json
import subprocess
import sys

import pytest


pytestmark = [
    pytest.mark.gpu_compiler,
    pytest.mark.skipif(
        not any(importlib.util.find_spec(f"jax_cuda{n}_plugin") for n in (12, 13)),
        reason="needs the CUDA plugin of JAX: uv run --isolated --extra cuda pytest "
        "-m gpu_compiler",
    ),
]


def test_every_kernel_compiles():
    # A process of its own: the plugin takes memory, and the tests compile otherwise.
    module = "tests.functional.recurrence.kernels.gpu_compiler"
    command = [sys.executable, "-m", module]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=600)
    assert json.loads(result.stdout.splitlines()[-1]) == {}
