"""Every chart of a run as a separate file, for slides and papers."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from jaxnets.report.charts.figures import Panel
from jaxnets.report.charts.style import LIGHT, vega_config
from jaxnets.report.sections.section import AnyFigure, Section
from jaxnets.report.studies import study_sections
from jaxnets.runs.files import as_path, write_bytes
from jaxnets.runs.folder import RunFolder


WIDTH, HEIGHT = 640, 360
# The most characters of the name of a file. File systems allow about 250.
LONGEST = 120


def export_charts(run: str | os.PathLike[str], format: str = "png") -> list[Path]:
    """Write every chart of the run in the folder `run` into `run/charts/`.

    Args:
        run: The folder that `jaxnets contrast` wrote; the run may be incomplete.
        format: `png`, at twice the nominal resolution, or `svg`.

    Returns:
        The files in the order of the report; none if nothing can be drawn.

    Raises:
        OSError: If a chart cannot be written.
        TypeError: If `run` is not a path.
        ValueError: If `format` is neither `png` nor `svg`, the run cannot be read, or
            `charts` is not a folder.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxnets.report import export_charts
        >>> from jaxnets.runs.records import Record, write_records
        >>> losses = [
        ...     Record("depth", "plain-8", "plain", 8, 0, step, "validation_loss",
        ...            "", None, 2.3 / (1 + step))
        ...     for step in range(3)
        ... ]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_records(Path(folder, "records.csv"), losses)
        ...     [path.name for path in export_charts(Path(folder), "svg")]
        ['depth-validation-loss-depth-8.svg']
    """
    if format not in ("png", "svg"):
        raise ValueError(f'`format` is {format!r}; wanted "png" or "svg".')
    within = as_path(run, "run")
    sections = study_sections(RunFolder(within).read())
    folder = within / "charts"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(
            f"{folder} is not a folder but a link or a file, so no charts are written "
            "there. Move it away."
        )
    paths = []
    for name, specification in _specifications(sections):
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.{format}"
        write_bytes(path, _convert(specification, format))
        paths.append(path)
    return paths


def _specifications(sections: list[Section]) -> Iterator[tuple[str, dict[str, Any]]]:
    taken = set()
    for section in sections:
        for figure in section.figures:
            for panel in figure.panels:
                name = _file_name(figure, panel)
                # Two headings may differ only in characters that are not in file names.
                while name in taken:
                    name += "-b"
                taken.add(name)
                yield name, _standalone(figure, panel)


def _file_name(figure: AnyFigure, panel: Panel) -> str:
    words = f"{figure.study} {figure.plot.name} {panel.title}".lower()
    return re.sub(r"[^a-z0-9.]+", "-", words[:LONGEST]).strip("-.")


def _standalone(figure: AnyFigure, panel: Panel) -> dict[str, Any]:
    """Return the chart of a panel with a fixed size, a heading and a legend."""
    return {
        **figure.chart(panel, legend=True),
        "width": WIDTH,
        "height": HEIGHT,
        "title": figure.heading(panel),
        "config": vega_config(LIGHT),
        "padding": 16,
    }


def _convert(specification: dict[str, Any], format: str) -> bytes:
    # The version of Vega-Lite that Altair writes, in vl-convert's form, such as "6.4".
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    if format == "svg":
        svg = vl_convert.vegalite_to_svg(specification, vl_version=version)
        return svg.encode()
    return vl_convert.vegalite_to_png(specification, vl_version=version, scale=2)
