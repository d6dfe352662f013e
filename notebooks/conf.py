"""Builds the site: `uv run --group docs sphinx-build -j auto -W notebooks OUT`.

It needs no network. Pages with code cells are executed; `jupyter_cache` keeps what they
printed for as long as their code stays the same.
"""

import collections
import io
import os
import re
from contextlib import redirect_stdout, suppress
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import jaxnets
from jaxnets.cli.parser import parse


project = "jaxnets"
author = "The jaxnets authors"
copyright = "2026, the jaxnets authors"
version = release = jaxnets.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = [
    "_build",
    "_templates",
    "examples",
    "**.ipynb_checkpoints",
]
templates_path = ["_templates"]
nitpicky = False

# Docstrings name the shapes of arrays, so the annotations would say the same again.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
autosummary_ignore_module_all = False
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]
napoleon_attr_annotations = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False

myst_enable_extensions = ["colon_fence", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
# No cell takes a minute on a quiet machine; others may keep one busy.
nb_execution_timeout = 900
# `notebooks/execute.py` stores their outputs; a test says when they are out of date.
nb_execution_excludepatterns = ["*.ipynb"]
nb_merge_streams = True
# Tables that a cell prints as Markdown.
nb_render_markdown_format = "gfm"

# Browsers draw MathML without a script. MathJax would be loaded from the network.
html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
html_title = "jaxnets"
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    # The sidebar has the search field already.
    "navbar_persistent": [],
}
html_static_path = ["_static"]
html_css_files = ["site.css"]

# The pages that are executed must not depend on the machine.
os.environ["JAX_PLATFORMS"] = "cpu"
# Their programs take longer to compile than to run.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# Several pages compile the same programs.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).parent / "_build/.jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


class CommandHelp(Directive):
    """Shows what `jaxnets COMMAND --help` prints."""

    required_arguments = 0
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the text as a literal block."""
        printed = io.StringIO()
        with redirect_stdout(printed), suppress(SystemExit):
            parse([*self.arguments, "--help"])
        command = " ".join(["jaxnets", *self.arguments, "--help"])
        text = f"$ {command}\n{printed.getvalue()}"
        return [nodes.literal_block(text, text, language="text")]


def write_inline_math(translator, node: nodes.math) -> None:
    """Write a formula within a line as MathML."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def write_math_block(translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own as MathML."""
    formula = convert(node.astext(), display="block")
    translator.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Example|Source):")


def write_code_for_sphinx(app, what, name, thing, options, lines: list[str]) -> None:
    """Mark code as Sphinx wants it.

    It takes two backticks, and a directive before an indented block, such as an
    equation.
    """
    text = "\n".join(lines)
    # A letter may follow code only after an escaped space, as in the plural of a name.
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))", _double_backticks, text)
    lines[:] = text.split("\n")
    before = ""
    for number, line in enumerate(lines):
        if SECTION.match(line):
            break
        if line.startswith("    ") and before and not before.startswith("    "):
            lines[number - 1] = "\n.. code-block:: text\n"
        before = line or before
    lines[:] = "\n".join(lines).split("\n")


def _double_backticks(code: re.Match) -> str:
    return f"``{code[1]}``" + ("\\ " if code[2] else "")


def leave_out_fields(app, what, name, thing, skip: bool, options) -> bool | None:
    """Leave out the fields of a named tuple: its docstring describes them."""
    return True if isinstance(thing, FIELD) else None


def name_default_functions(
    app, what, name, thing, options, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write a default that is a function as its name, such as `tanh`."""
    if signature is not None:
        signature = re.sub(r"<PjitFunction of <function (\w+)>>", r"\1", signature)
        signature = re.sub(r"<function (\w+)[^>]*>", r"\1", signature)
        signature = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", signature)
    return signature, returned


FIELD = type(collections.namedtuple("Pair", "first second").first)


def setup(app: Sphinx) -> None:
    """Add the directive `command-help`, and read docstrings as they are written."""
    os.environ["COLUMNS"] = "88"
    app.add_directive("command-help", CommandHelp)
    app.add_html_math_renderer(
        "mathml", (write_inline_math, None), (write_math_block, None)
    )
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", write_code_for_sphinx, priority=400)
    app.connect("autodoc-process-signature", name_default_functions)
    app.connect("autodoc-skip-member", leave_out_fields)
