"""From a run folder to charts and one HTML page. It draws; it never measures."""

from jaxnets.report.export import export_charts
from jaxnets.report.page import write_report


__all__ = ["export_charts", "write_report"]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
