"""Checkpoints of a run: written in the background, checked before they are read.

This is the only file that knows Orbax.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.training.trainer.manifest import (
    MANIFEST,
    DamagedError,
    read_manifest,
    write_manifest,
)
from jaxnets.training.trainer.processes import is_first, largest


# Names such as 00000300, the step at which the checkpoint was made.
DIGITS = 8
# Orbax stores arrays in chunks, with files beside them.
DISK_FACTOR = 2.0


@dataclasses.dataclass
class Restored:
    """What `Checkpoints.restore` found.

    Attributes:
        step: The step of the checkpoint.
        state: The state, with the structure of the one that was asked for.
        about: What was saved with it.
    """

    step: int
    state: Any
    about: dict[str, Any]


class Checkpoints:
    """The checkpoints in a folder, a subfolder for each step.

    `save` returns as soon as the arrays are copied; Orbax writes them in threads of its
    own. A checkpoint is complete once its manifest, which has the SHA-256 of every
    file, is there. What a killed process leaves has no manifest, and is not read.

    Args:
        folder: The folder, which is made if needed.
        keep: Number of complete checkpoints to keep.
        say: Tells the user what was found damaged.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> with tempfile.TemporaryDirectory() as path:
        ...     with Checkpoints(Path(path)) as checkpoints:
        ...         checkpoints.save(5, {"w": jnp.ones(2)}, {"seed": 0})
        ...     found = Checkpoints(Path(path)).restore({"w": jnp.zeros(2)})
        >>> found.step, found.state["w"], found.about["seed"]
        (5, Array([1., 1.], dtype=float32), 0)
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 3,
        say: Callable[[str], object] = print,
    ):
        self._folder = folder.absolute()
        self._keep = keep
        self._say = say
        self._writing: tuple[int, Mapping[str, Any]] | None = None
        self._saver: Any = None
        self._inode: int | None = None

    def __enter__(self) -> "Checkpoints":
        self._orbax()
        return self

    def __exit__(self, kind, *exception) -> None:
        if self._saver is not None:
            try:
                # What ended the run says more than what it did to the checkpoint.
                with contextlib.suppress(*[OSError] if kind else []):
                    self.wait()
            finally:
                self._saver.close()
                self._saver = None

    def save(self, step: int, state: Any, about: Mapping[str, Any]) -> None:
        """Save `state` in the background, after the one before is complete.

        Args:
            step: Number of updates so far.
            state: A pytree of arrays and keys.
            about: What else to keep, in the form of JSON.

        Raises:
            OSError: If the disk is full or the folder cannot be written, now or while
                the checkpoint before was written. That one is then incomplete, and the
                ones before it are intact.
        """
        self.wait()
        target = self._path(step)
        if is_first() and target.exists():
            shutil.rmtree(target)
        largest(0)  # No process goes on before it is removed.
        self._folder.mkdir(parents=True, exist_ok=True)
        leaves = _named_leaves(state)
        self._check_space(leaves)
        self._inode = _inode(self._folder)
        with self._as_os_error(target):
            self._orbax().save(target / "state", leaves)
        self._writing = step, about

    def complete(self) -> None:
        """Complete the checkpoint that is being written if its files are all there."""
        # Orbax writes elsewhere, and then renames the folder.
        if self._writing and (self._path(self._writing[0]) / "state").exists():
            self.wait()

    def wait(self) -> None:
        """Wait until the checkpoint that is being written is complete."""
        if self._writing is None:
            return
        (step, about), self._writing = self._writing, None
        target = self._path(step)
        with self._as_os_error(target):
            self._orbax().wait_until_finished()
            if is_first():
                write_manifest(target, {"step": step, **about})
        if is_first():
            self._remove_old()

    def restore(self, like: Any) -> Restored | None:
        """Return the newest checkpoint that is intact, or None if there is none.

        A damaged one is renamed to `STEP.damaged`, and the user is told why.

        Args:
            like: A state whose arrays have the shapes, dtypes and shardings to restore.

        Raises:
            ValueError: If the arrays of the checkpoint are not those of `like`.
        """
        before = 10**DIGITS
        while (step := largest(self._newest_intact(before))) >= 0:
            path = self._path(step)
            try:
                about = read_manifest(path, check=False)
                state = self._read(path, like)
            except (DamagedError, OSError) as error:
                if jax.process_count() > 1:
                    raise OSError(f"{path} cannot be read: {error}") from error
                self._set_aside(path, error)
                before = step
                continue
            about.pop("files")
            return Restored(int(about.pop("step")), state, about)
        return None

    def _newest_intact(self, before: int) -> int:
        """Return the newest step below `before` whose files are intact, or -1.

        Only the first process looks for it.
        """
        steps = [step for step in self.steps() if step < before]
        for step in reversed(steps) if is_first() else ():
            path = self._path(step)
            try:
                read_manifest(path)
                return step
            except (DamagedError, OSError) as error:
                self._set_aside(path, error)
        return -1

    def steps(self) -> list[int]:
        """Return the steps of all checkpoints, also of those that are not complete."""
        if not self._folder.is_dir():
            return []
        names = (path.name for path in self._folder.iterdir())
        return sorted(int(name) for name in names if _is_step(name))

    def read(self, step: int, make_like: Callable[[dict[str, Any]], Any]) -> Restored:
        """Return the checkpoint of a step, and leave everything as it is.

        Args:
            step: One of `steps()`.
            make_like: Returns, of what was saved with the state, a state whose arrays
                have the shapes, dtypes and shardings to restore.

        Raises:
            DamagedError: If the checkpoint is not complete, or a file was changed.
            OSError: If it cannot be read, such as after it was removed.
            ValueError: If its arrays are not those of that state.
        """
        about = read_manifest(self._path(step))
        about.pop("files")
        about.pop("step")
        return Restored(step, self._read(self._path(step), make_like(about)), about)

    def _path(self, step: int) -> Path:
        return self._folder / f"{step:0{DIGITS}d}"

    def _orbax(self) -> Any:
        if self._saver is None:
            # Imported here, because few of those who import this library need it.
            import orbax.checkpoint as ocp

            self._saver = ocp.StandardCheckpointer()
        return self._saver

    def _read(self, path: Path, like: Any) -> Any:
        abstract = jax.tree.map(_abstract, _named_leaves(like))
        try:
            found = self._orbax().restore(path / "state", abstract)
        except ValueError as error:
            raise ValueError(
                f"The arrays of {path} are not those of this network and optimiser: "
                f"{error}"
            ) from error
        leaves, treedef = jax.tree.flatten(like)
        restored = [found[name] for name in sorted(found)]
        return treedef.unflatten(map(_as_key, restored, leaves))

    def _set_aside(self, path: Path, error: Exception) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}.damaged-{number}")
        with contextlib.suppress(OSError):
            path.rename(aside)
        self._say(
            f"The checkpoint of step {int(path.name)} cannot be used: {error}. It is "
            f"kept as {aside.name}; the one before it is tried."
        )

    def _check_space(self, leaves: Mapping[str, jax.Array]) -> None:
        needed = DISK_FACTOR * sum(leaf.nbytes for leaf in leaves.values())
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise OSError(
                f"{self._folder} has {free / 1e6:.0f} MB free, and a checkpoint may "
                f"take {needed / 1e6:.0f} MB. Free some space; the checkpoints so far "
                "are intact."
            )

    @contextlib.contextmanager
    def _as_os_error(self, path: Path) -> Iterator[None]:
        """Turn what Orbax raises on a bad disk into an OSError that names the path."""
        try:
            yield
        except Exception as error:
            reason = str(error).partition(" [tensorstore_spec=")[0]
            # Orbax makes missing folders again, and then misses files in them.
            if _inode(self._folder) != self._inode:
                reason += f"; {self._folder} was moved or removed meanwhile"
            raise OSError(
                f"The checkpoint {path} could not be written: {reason}. The ones "
                "before it are intact."
            ) from error

    def _remove_old(self) -> None:
        """Remove the oldest complete checkpoints, after a newer one is complete."""
        for step in self.steps()[: -self._keep]:
            # Without its manifest a checkpoint that is removed half does not count.
            with contextlib.suppress(OSError):
                (self._path(step) / MANIFEST).unlink()
            shutil.rmtree(self._path(step), ignore_errors=True)


def _is_step(name: str) -> bool:
    return len(name) == DIGITS and name.isdigit()


def _named_leaves(state: Any) -> dict[str, jax.Array]:
    """Return the arrays by number, with the bits of random keys in place of keys."""
    leaves = map(_key_data, jax.tree.leaves(state))
    return {f"{number:05d}": leaf for number, leaf in enumerate(leaves)}


def _is_key(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _key_data(leaf: Any) -> jax.Array:
    if _is_key(leaf):
        return jax.random.key_data(leaf)
    return leaf if isinstance(leaf, jax.Array) else jnp.asarray(np.asarray(leaf))


def _as_key(array: jax.Array, like: Any) -> jax.Array:
    if _is_key(like):
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(like))
    return array


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None
