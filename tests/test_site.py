"""The site: each public name is in its reference once. `.ci/run` builds the site."""

import importlib
import inspect
import pathlib
import re

import pytest

from tests.signatures import SIGNATURES


REFERENCE = pathlib.Path(__file__).parents[1] / "notebooks" / "reference"


def names_in_reference():
    """`(module, name)` of every line of an `autosummary` list."""
    for page in sorted(REFERENCE.glob("*.md")):
        for block in re.findall(
            r"```{eval-rst}\n(.*?)```", page.read_text(), re.DOTALL
        ):
            (module,) = re.findall(r"currentmodule:: (\S+)", block)
            for name in re.findall(r"^   (\w+)$", block, re.MULTILINE):
                yield module, name


@pytest.mark.parametrize("room", SIGNATURES)
def test_every_public_name_is_there_once(room):
    module = "jaxnets" if room == "jaxnets" else f"jaxnets.{room}"
    package = importlib.import_module(module)
    public = [
        name for name in package.__all__ if not inspect.ismodule(getattr(package, name))
    ]
    listed = [name for where, name in names_in_reference() if where == module]
    assert sorted(listed) == sorted(public)
