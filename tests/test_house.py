"""The house: imports go down only, files and functions keep their size."""

import ast
import pathlib

import pytest


PACKAGE = pathlib.Path(__file__).parents[1] / "jaxnets"
FLOORS = {
    "tap": 0,
    "choices": 0,
    "runs": 0,
    "typing": 0,
    "functional": 1,
    "gradflow": 1,
    "data": 1,
    "nn": 2,
    "interop": 2,
    "models": 3,
    "training": 3,
    "studies": 4,
    "report": 5,
    "bench": 6,
    "cli": 7,
    "__main__": 8,
}
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"
)
# What a folder may not import from outside the package.
FORBIDDEN = {
    "runs": {"jax", "flax", "optax", "altair", "sklearn"},
    "functional": {"flax", "optax", "altair", "sklearn"},
    "gradflow": {"flax", "optax", "altair", "sklearn"},
    "data": {"flax", "optax", "altair"},
    "nn": {"optax", "altair", "sklearn"},
    "interop": {"flax", "haiku", "keras", "torch", "optax", "altair", "sklearn"},
    "models": {"optax", "altair", "sklearn"},
    "training": {"altair", "sklearn"},
    "studies": {"altair"},
    "bench": {"altair", "sklearn", "tyro"},
    "report": {"jax", "flax", "optax"},
    "cli": {"jax", "flax", "optax", "altair"},
}
# To measure any Flax model is what the instrument is for; this file alone of its folder
# knows modules, and Flax is imported inside of its functions.
ALLOWED = {"gradflow/modules.py": {"flax"}}


def room_of(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: pathlib.Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(name, node.lineno) for name in names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    room = room_of(path)
    allowed = ALLOWED.get(str(path.relative_to(PACKAGE)), set())
    forbidden = FORBIDDEN.get(room, set()) - allowed
    for name, line in imports_of(path):
        parts = name.split(".")
        if parts[0] != "jaxnets":
            assert parts[0] not in forbidden, f"{path}:{line}: {name}"
            continue
        target = parts[1]
        if target == "__version__":
            continue
        private = [part for part in parts if part.startswith("_")]
        assert not private, f"{path}:{line}: {name} is private"
        lower = FLOORS[target] < FLOORS[room]
        assert target == room or lower, f"{path}:{line}: {room} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_readable(path):
    source = path.read_text()
    assert source.count("\n") <= 300, "split the file by idea"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
            start = node.body[1 if has_docstring else 0].lineno
            lines = (node.end_lineno or start) - start + 1
            assert lines <= 60, f"{node.name}: {lines} lines"


def test_the_floors_name_every_room():
    rooms = {room_of(path) for path in FILES}
    assert rooms <= set(FLOORS), rooms - set(FLOORS)
