"""TensorBoard's event files, which a library of its own writes."""

import importlib
from pathlib import Path
from typing import Any


# `torch.utils.tensorboard` needs the package tensorboard too.
WRITERS = ("tensorboardX", "torch.utils.tensorboard")


def writer_class() -> Any:
    """Return the `SummaryWriter` of an installed package.

    Raises:
        ImportError: If no package has one.
    """
    for package in WRITERS:
        try:
            return importlib.import_module(package).SummaryWriter
        except ImportError:
            continue
    raise ImportError(
        "Nothing here can write TensorBoard's files: install tensorboardX, "
        "`pip install 'jaxnets[tensorboard]'`."
    )


def summary_writer(folder: Path, step: int = 0) -> Any:
    """Return a writer of event files.

    Args:
        folder: The folder that TensorBoard is pointed at.
        step: The last step to keep of files that the folder has already, as of a run
            that is resumed; 0 keeps everything.

    Raises:
        ImportError: If no package can write them.
    """
    return writer_class()(str(folder), purge_step=step + 1 if step else None)
