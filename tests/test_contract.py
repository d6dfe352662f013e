"""The public names: their arguments, their docstrings, and what importing them costs.

The arguments themselves are written out in `tests/signatures.py`.
"""

import ast
import builtins
import doctest
import functools
import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets.functional.recurrence.cells import CELLS
from tests.cells import EVERY
from tests.signatures import SIGNATURES


REFERENCE = pathlib.Path(__file__).parents[1] / "notebooks" / "reference"
PACKAGES = ["jaxnets", *(f"jaxnets.{room}" for room in SIGNATURES if room != "jaxnets")]
# Public names that are neither functions nor classes, so they have no signature.
ALIASES = {
    "gradflow": {"Schedule"},
    "training": {"Batches", "Loss", "Watch"},
}
# The example of the function that returns them shows them.
SHOWN_ELSEWHERE = {
    "AdjointParts",
    "Beams",
    "Certificate",
    "Diagnosis",
    "GateSlopes",
    "AttentionStats",
    "GradientNoise",
    "History",
    "Program",
    "ResponseStats",
    "Spread",
    "Trained",
    "TapStats",
}
NAMES = [
    (room, signature.partition("(")[0], signature)
    for room, signatures in SIGNATURES.items()
    for signature in signatures
]
every_name = pytest.mark.parametrize(
    ("room", "name", "signature"),
    NAMES,
    ids=[f"{room}.{name}" for room, name, _ in NAMES],
)


def package_of(room: str):
    return importlib.import_module(
        "jaxnets" if room == "jaxnets" else f"jaxnets.{room}"
    )


def public(room: str, name: str):
    return getattr(package_of(room), name)


def parameters_of(thing) -> list[inspect.Parameter]:
    """The parameters that a caller passes, without annotations."""
    parameters = list(inspect.signature(thing).parameters.values())
    empty = inspect.Parameter.empty
    return [
        p.replace(
            annotation=empty,
            default=empty if p.default is empty else Shown(p.default),
        )
        for p in parameters
    ]


class Shown:
    """A default value, printed as its name if it is a function or a class."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        if not callable(self.value):
            return repr(self.value)
        # An initialiser such as `orthogonal()` is a closure of the rule's name.
        name = getattr(self.value, "__qualname__", self.value.__name__)
        return name.partition(".")[0]


@every_name
def test_arguments_their_order_and_defaults(room, name, signature):
    actual = inspect.Signature(parameters_of(public(room, name)))
    assert f"{name}{actual}" == signature


@pytest.mark.parametrize("room", SIGNATURES)
def test_no_public_name_is_left_out(room):
    package = package_of(room)
    public_names = {name: getattr(package, name) for name in package.__all__}
    names = {name for name, it in public_names.items() if not inspect.ismodule(it)}
    written = {name for named_room, name, _ in NAMES if named_room == room}
    assert names - ALIASES.get(room, set()) == written


@pytest.mark.parametrize("name", PACKAGES)
def test_dir_shows_the_public_names_only(name):
    package = importlib.import_module(name)
    dunder = [each for each in vars(package) if each.startswith("__")]
    assert dir(package) == sorted([*package.__all__, *dunder])
    for each in package.__all__:
        inner = inspect.ismodule(getattr(package, each))
        assert not inner or f"{name}.{each}" in PACKAGES, f"{each} is a module"


@every_name
def test_docstring_starts_with_a_sentence_and_has_an_example(room, name, signature):
    first, *rest = (inspect.getdoc(public(room, name)) or "").split("\n")
    assert first.endswith("."), first
    assert first[0].isupper() or first[0] == "`", first
    assert not rest or rest[0] == "", "a blank line after the first"
    assert "Example:" in rest or name in SHOWN_ELSEWHERE, "no example"


@every_name
def test_examples_define_the_names_that_they_use(room, name, signature):
    docstring = inspect.getdoc(public(room, name)) or ""
    examples = doctest.DocTestParser().get_examples(docstring)
    nodes = list(ast.walk(ast.parse("".join(example.source for example in examples))))
    known = set(dir(builtins)) | {n.arg for n in nodes if isinstance(n, ast.arg)}
    known |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    known |= {n.asname or n.name for n in nodes if isinstance(n, ast.alias)}
    names = [n for n in nodes if isinstance(n, ast.Name)]
    known |= {n.id for n in names if isinstance(n.ctx, ast.Store)}
    assert {n.id for n in names} <= known


@every_name
def test_docstring_names_every_argument(room, name, signature):
    thing = public(room, name)
    docstring = inspect.getdoc(thing) or ""
    first, _, rest = docstring.partition("\n")
    if re.search(r"The\s+(arguments|options)\s[^.]*\bare\s+those\s+of\s", rest):
        return
    for parameter in parameters_of(thing):
        written = str(parameter).partition("=")[0]
        described = f"\n    {written}: " in rest or f"`{written}`" in first
        assert described, f"{written} is not described"
    if not isinstance(thing, type) and not inspect.isgeneratorfunction(
        inspect.unwrap(thing)
    ):
        assert "\nReturns:\n" in rest, "what it returns is not described"


@pytest.mark.parametrize(
    "name", [name for room, name, _ in NAMES if room == "functional"]
)
def test_functions_name_their_source_or_what_differs(name):
    thing = public("functional", name)
    if not isinstance(thing, type):
        docstring = inspect.getdoc(thing) or ""
        others = ("Source: ", "Flax", "Keras", "PyTorch", "`jax.lax.scan`")
        assert any(other in docstring for other in others)


X = np.ones((2, 5, 3), np.float32)


@pytest.mark.parametrize("name", CELLS)
def test_recurrences_return_the_state_and_all_outputs(name):
    _, run, step, init = CELLS[name]
    params = init(jax.random.key(0), 3, 4)
    start = jnp.zeros((2, 4))
    start = F.LSTMState(start, start) if name == "lstm" else start
    state, ys = run(params, X)
    assert ys.shape == (2, 5, 4)
    assert jax.tree.structure(state) == jax.tree.structure(start)
    # A step is the body of `lax.scan`; the user's own goes through `recur`.
    body = functools.partial(step, params)
    scanned = jax.lax.scan(body, start, jnp.swapaxes(X, 0, 1))
    for own in ((scanned[0], jnp.swapaxes(scanned[1], 0, 1)), F.recur(body, start, X)):
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5), own, (state, ys)
        )


@pytest.mark.parametrize("layer", [family.layer for family in EVERY])
def test_layers_return_what_their_functions_return(layer):
    module = layer(3, 4, rngs=nnx.Rngs(0))
    state, ys = module(X)
    run = CELLS[layer(3, 4, rngs=nnx.Rngs(0)).cell].run
    expected = run(module.params, X)
    jax.tree.map(np.testing.assert_array_equal, (state, ys), expected)


PLOTTING_AND_TRAINING = {"altair", "flax", "optax", "sklearn", "vl_convert"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import jaxnets; dir(jaxnets)", PLOTTING_AND_TRAINING | {"jax", "numpy"}),
        ("import jaxnets.functional, jaxnets.interop", PLOTTING_AND_TRAINING),
        ("import jaxnets.gradflow, jaxnets.data", PLOTTING_AND_TRAINING),
    ],
)
def test_importing_loads_nothing_heavy(statement, absent):
    program = f"{statement}\nimport sys\nprint(*sorted({absent} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert answer.stdout.split() == []


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
def test_the_reference_has_every_public_name_once(room):
    module = "jaxnets" if room == "jaxnets" else f"jaxnets.{room}"
    package = importlib.import_module(module)
    public = [
        name for name in package.__all__ if not inspect.ismodule(getattr(package, name))
    ]
    listed = [name for where, name in names_in_reference() if where == module]
    assert sorted(listed) == sorted(public)
