"""The line of the user's code that made an equation."""

import pathlib
from collections.abc import Sequence

from jax.extend.core import JaxprEqn


# The directory of this library.
_LIBRARY = pathlib.PurePath(__file__).parents[2]
_INSTALLED = {"site-packages", "dist-packages"}


def source_line(eqns: Sequence[JaxprEqn]) -> str:
    """Return the file and line of the user's code that made an equation.

    It is the innermost line that is in no installed package, such as "model.py:37".

    Args:
        eqns: The equation and the calls around it, innermost first.

    Returns:
        The name of the file, a colon and the number of the line; or an empty string.

    Example:
        >>> source_line([])
        ''
    """
    for eqn in eqns:
        traceback = eqn.source_info.traceback
        for frame in [] if traceback is None else traceback.frames:
            path = pathlib.PurePath(frame.file_name)
            # Beyond it are the lines of the call for which JAX traced the body. This
            # may be another call, whose body JAX found in its cache.
            if frame.function_name.startswith("trace_to_jaxpr") and eqn is not eqns[-1]:
                break
            if _is_users(path):
                return f"{path.name}:{frame.line_num}"
    return ""


def _is_users(path: pathlib.PurePath) -> bool:
    # Code that Python generates has a name such as "<frozen runpy>".
    made = path.name.startswith("<frozen")
    return not (made or _INSTALLED & {*path.parts} or path.is_relative_to(_LIBRARY))
