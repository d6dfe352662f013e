"""The page around the charts: markup, legends, verdicts, provenance."""
