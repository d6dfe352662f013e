"""What every test runs under: strict numerics, no accelerator, fresh randomness."""

import importlib.util
import os
import sys


# Before JAX is imported: the suite needs no accelerator.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import pytest
from jaxtyping import config


# Containers often tell Python to write no bytecode. Then each worker, and each of the
# some twenty processes that tests start, would compile this repository's modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# For the tests of several devices. The others run on the first.
jax.config.update("jax_num_cpu_devices", 8)

# The programs of the tests run for a moment and take far longer to compile. This
# leaves out LLVM's optimisations; XLA's own passes run as ever. What a test starts as
# a process of its own (a notebook, a command) compiles as it does for users.
jax.config.update("jax_disable_most_optimizations", True)

# Flax and Optax promote on purpose inside, so strictness covers the pure functions.
STRICT = ("tests/functional", "tests/gradflow", "tests/interop")


@pytest.fixture(autouse=True)
def strict_numerics(request):
    """Make silent rank and dtype promotion an error in the tests of pure functions."""
    if not any(folder in request.node.nodeid for folder in STRICT):
        yield
        return
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def flax_promotes():
    """Allow promotion where layers of Flax run, which promote ranks."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def pytest_runtest_setup(item):
    """Skip what needs the compiler for TPUs where that is not installed."""
    if item.get_closest_marker("tpu_compiler") and not importlib.util.find_spec(
        "libtpu"
    ):
        pytest.skip(
            "needs libtpu: uv run --isolated --extra tpu pytest -m tpu_compiler"
        )


@pytest.fixture
def coming_switches():
    """Switch on JAX's new forms of three transformations, which become the default."""
    names = "jax_remat3", "jax_custom_jvp3", "jax_custom_vjp3"
    if not all(hasattr(jax.config, name) for name in names):
        pytest.skip("this JAX has no such switches")
    before = {name: getattr(jax.config, name) for name in names}
    for name in names:
        jax.config.update(name, True)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that is the same in every run."""
    return np.random.default_rng(20260711)


@pytest.fixture
def unchecked_annotations():
    """Switch off the checks of annotations, which raise before the library's errors."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
