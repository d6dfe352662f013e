"""The rules of the house, as `.github/CONTRIBUTING.md` states them."""

import ast
import functools
import importlib
import inspect
import io
import pathlib
import re
import tokenize
from collections.abc import Iterator

import pytest


ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "jaxnets"
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
FLOORS = {
    "_version": 0,
    "arguments": 0,
    "programs": 0,
    "runs": 0,
    "tap": 0,
    "typing": 0,
    # On the ground floor too, but each needs the one before it: a platform's branches
    # have the same taps, and a choice is made for each platform.
    "platforms": 0.3,
    "choices": 0.6,
    "data": 1,
    "functional": 1,
    "gradflow": 1,
    "interop": 2,
    "nn": 2,
    "models": 3,
    "training": 3,
    "studies": 4,
    "tasks": 4,
    "report": 5,
    "bench": 6,
    "cli": 7,
    "__main__": 8,
}
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"
)
# What each room may not import from outside the package.
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
    "tasks": {"altair"},
    "bench": {"altair", "sklearn"},
    "report": {"jax", "flax", "optax"},
    "cli": {"jax", "flax", "optax", "altair"},
}
# The instrument measures any Flax model. Only these files of its folder know modules
# and optimisers, and they import Flax and Optax inside their functions.
ALLOWED = {
    "interop/taps.py": {"flax", "haiku"},
    "gradflow/capture/arguments.py": {"flax"},
    "gradflow/capture/changes.py": {"flax"},
    "gradflow/capture/classes.py": {"flax"},
    "gradflow/capture/outputs.py": {"flax"},
    "gradflow/modules.py": {"flax"},
    "gradflow/evidence/remedies/changes.py": {"flax"},
    "gradflow/evidence/curvature.py": {"flax"},
    "gradflow/evidence/networks.py": {"flax"},
    "gradflow/evidence/program.py": {"flax", "optax"},
    "gradflow/evidence/remedies/rates.py": {"optax"},
    "gradflow/program/tracing.py": {"flax"},
    "gradflow/monitoring/evaluation.py": {"flax"},
    "gradflow/monitoring/monitor.py": {"flax"},
}
MOST_FILES = 12
MOST_FILE_LINES = 200
MOST_FUNCTION_LINES = 60
# The most files that a new one of a kind may touch.
MOST_TOUCHED = {"cell": 6, "pool": 8, "diagnosis": 5, "study": 4}

every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda p: str(p.relative_to(PACKAGE))
)


def room_of(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(nodes) -> list[tuple[str, int]]:
    """The dotted names that the import statements among `nodes` import."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(name, node.lineno) for name in names]
    return found


@every_file
def test_imports_go_down_only(path):
    room = room_of(path)
    allowed = ALLOWED.get(str(path.relative_to(PACKAGE)), set())
    forbidden = FORBIDDEN.get(room, set()) - allowed
    for name, line in imports_of(ast.walk(ast.parse(path.read_text()))):
        outer, *inner = name.split(".")
        if outer != "jaxnets":
            assert outer not in forbidden, f"line {line}: {name}"
            continue
        if inner == ["_version", "__version__"]:
            continue
        assert inner != ["__version__"], f"line {line}: import it from _version"
        private = [part for part in inner if part.startswith("_")]
        assert not private, f"line {line}: {name} is private"
        lower = FLOORS[inner[0]] < FLOORS[room]
        assert inner[0] == room or lower, f"line {line}: {room} imports {name}"


def test_the_floors_name_every_room():
    assert {room_of(path) for path in FILES} <= set(FLOORS)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of functions and of what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        checked_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(
            child.test
        )
        if not isinstance(child, ast.FunctionDef) and not checked_only:
            yield child
            yield from at_import(child)


def file_of(name: str) -> pathlib.Path:
    """The file that defines `name`, a module or something inside one."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    for module in (path.with_suffix(".py"), path / "__init__.py"):
        if module.is_file():
            return module
    return file_of(name.rpartition(".")[0])


def test_files_do_not_import_in_a_circle():
    needs = {}
    for path in [PACKAGE / "__init__.py", *FILES]:
        names = imports_of(at_import(ast.parse(path.read_text())))
        ours = [name for name, _ in names if name.split(".")[0] == "jaxnets"]
        needs[path] = {file_of(name) for name in ours}
    # Take away what imports nothing that is left, again and again.
    while ready := [path for path, needed in needs.items() if not needed & set(needs)]:
        for path in ready:
            del needs[path]
    left = sorted(str(path.relative_to(PACKAGE)) for path in needs)
    assert not left, "these import in a circle, or import what does"


def lines_of_code(source: str) -> set[int]:
    """The numbers of the lines that hold code: no comment, no docstring, no blank."""
    unread = {
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in unread:
            lines |= {*range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines -= {*range(docstring.lineno, (docstring.end_lineno or 0) + 1)}
    return lines


@every_file
def test_files_and_functions_stay_readable(path):
    source = path.read_text()
    lines = lines_of_code(source)
    assert len(lines) <= MOST_FILE_LINES, "split the file by idea"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = lines & {*range(node.lineno, (node.end_lineno or 0) + 1)}
            assert len(own) <= MOST_FUNCTION_LINES, f"{node.name}: {len(own)} lines"


def test_lines_of_code_are_neither_docstrings_nor_comments():
    source = '"""Module.\n\nText.\n"""\n\nx = """a\nb"""  # why\n# comment\n\n'
    source += 'def f():\n    """Line."""\n    return (\n        x\n    )\n'
    assert lines_of_code(source) == {6, 7, 10, 12, 13, 14}


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below `heading`, without its header."""
    section = GUIDE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, f"no table below {heading!r}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_folders_hold_at_most_a_dozen_files():
    large = set()
    for top in (PACKAGE, ROOT / "tests"):
        for folder in [top, *(path for path in top.rglob("*/"))]:
            files = [
                path
                for path in folder.iterdir()
                if path.is_file() and path.suffix != ".pyc"
            ]
            names = {path.name for path in files} - {"__init__.py", "py.typed"}
            if len(names) > MOST_FILES:
                large.add(str(folder.relative_to(ROOT)))
    assert not large


@functools.cache
def public_functions(package: str) -> set[str]:
    module = importlib.import_module(package)
    public = {name: getattr(module, name) for name in dir(module)}
    return {
        name
        for name, thing in public.items()
        if callable(thing) and not inspect.isclass(thing)
    }


def test_no_module_is_named_like_a_public_function_of_its_package():
    """A module would replace the function there; in `functional` at any depth."""
    taken = {}
    for path in FILES:
        *around, name = path.relative_to(ROOT).with_suffix("").parts
        if name == "__init__":
            name = around.pop()
        packages = {".".join(around)}
        if around[:2] == ["jaxnets", "functional"]:
            packages.add("jaxnets.functional")
        if shared := [each for each in packages if name in public_functions(each)]:
            taken[str(path.relative_to(ROOT))] = shared
    assert not taken


def test_the_guide_says_where_new_things_go():
    kinds = set()
    for kind, example, files in table("Where new things go"):
        kinds.add(kind)
        paths = re.findall(r"`([^`]+)`", files)
        assert len(set(paths)) == len(paths) > 1, kind
        assert len(paths) <= MOST_TOUCHED.get(kind, MOST_FILES), kind
        missing = [path for path in paths if not (ROOT / path).is_file()]
        assert not missing, f"{kind}, such as {example}: {missing}"
    assert kinds >= set(MOST_TOUCHED)
