"""The HTML of the page: markup, figures, legends, verdicts, provenance."""
