"""Diagnose the model that a Python file of the user defines."""

import contextlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax

from jaxnets.arguments import check_accepts
from jaxnets.gradflow.evidence.diagnosing import Diagnosis, diagnose
from jaxnets.runs.files import as_path


# For more updates it pays to compile with all optimisations.
FEW_STEPS = 20


class UserFile(NamedTuple):
    """What a file defines for `diagnose`.

    Attributes:
        make: `make(rngs)` returns the model.
        loss: `loss(model, batch)` returns a scalar or `(scalar, aux)`.
        batch: `batch(key)` returns a batch.
        optimizer: The Optax transform; None if the file has none.
        classes: The number of classes; None if the file has none.
    """

    make: Callable[..., Any]
    loss: Callable[..., Any]
    batch: Callable[..., Any]
    optimizer: Any = None
    classes: int | None = None


# What each function is, for the error if it is missing.
_WANTED = {
    "make": "def make(rngs): ...  # returns the nnx.Module",
    "loss": "def loss(model, batch): ...  # returns a scalar, or (scalar, aux)",
    "batch": "def batch(key): ...  # returns one batch",
}


def diagnose_file(
    path: str | os.PathLike[str], *, seeds: int = 3, steps: int = 0
) -> Diagnosis:
    """Run the file `path`, and diagnose the model that it defines.

    The file defines `make(rngs)`, `loss(model, batch)` and `batch(key)`, and may define
    `optimizer`, an Optax transform, and `classes`, the number of classes. All updates
    are made on one batch: a network that can learn must fit it. A tuple is passed as
    `loss(model, *batch)`; if the loss does not accept so many arguments, it is passed
    whole. Optional arguments count, unless they are keyword-only.

    Args:
        path: The Python file. Its folder comes first in the import path, as if it were
            run.
        seeds: How many networks to make.
        steps: How many updates to make.

    Raises:
        AttributeError: If the file does not define a function, or `steps` is given and
            there is no `optimizer`.
        FileNotFoundError: If there is no such file.
        Exception: What the file itself raises.

    Example:
        >>> import tempfile
        >>> text = '''
        ... import jax.numpy as jnp
        ... from flax import nnx
        ... def make(rngs): return nnx.Linear(2, 1, rngs=rngs)
        ... def loss(model, batch): return jnp.mean(model(batch) ** 2)
        ... def batch(key): return jnp.ones((4, 2))
        ... '''
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "model.py")
        ...     _ = path.write_text(text)
        ...     diagnose_file(path, seeds=1).ok
        True
    """
    path = as_path(path)
    with _importing_from(path.parent), _compiling_for(steps):
        found = _definitions(_run(path), path, steps)
        key = jax.random.key(0)
        check_accepts("batch", found.batch, "a key. Write `def batch(key): ...`.", key)
        batch = found.batch(key)
        # A tuple of two arrays, for `loss(model, batch)`, cannot be passed otherwise.
        whole = not isinstance(batch, tuple) or not _accepts(found.loss, len(batch))
        return diagnose(
            found.loss,
            found.make,
            (batch,) if whole else batch,
            seeds=seeds,
            optimizer=found.optimizer,
            steps=steps,
            classes=found.classes,
            name=path.stem,
        )


def _run(path: Path) -> ModuleType:
    """Run a file and return it as a module, under a name that replaces no other."""
    name = f"jaxnets_check_{path.stem}"
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file; wanted a name that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses, and functions that are looked up by name, need the module there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Put a folder first in the import path, for the imports of a file in it."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))


@contextlib.contextmanager
def _compiling_for(steps: int) -> Iterator[None]:
    """Leave out LLVM's optimisations if compiling takes longer than running.

    A check of ResNet-20 without updates then takes 23 s of one CPU core and not 36.
    """
    name = "jax_disable_most_optimizations"
    before = jax.config.values[name]
    jax.config.update(name, before or steps <= FEW_STEPS)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _definitions(module: ModuleType, path: Path, steps: int) -> UserFile:
    for name, wanted in _WANTED.items():
        if not callable(getattr(module, name, None)):
            raise AttributeError(f"{path} has no function `{name}`; wanted `{wanted}`.")
    found = {
        name: getattr(module, name)
        for name in UserFile._fields
        if hasattr(module, name)
    }
    if steps and found.get("optimizer") is None:
        raise AttributeError(
            f"{path} has no `optimizer`, so {steps} updates cannot be made; wanted an "
            "Optax transform, such as `optimizer = optax.adam(1e-3)`."
        )
    return UserFile(**found)


def _accepts(loss: Callable[..., Any], count: int) -> bool:
    """Return whether the model and so many elements of a batch can be passed.

    If not, and a batch as a whole cannot be passed either, the caller learns from the
    call with the elements what is wrong.
    """
    try:
        signature = inspect.signature(loss)
    except ValueError:
        return True
    for arguments in (count, 1):
        with contextlib.suppress(TypeError):
            signature.bind(None, *[None] * arguments)
            return arguments == count
    return True
