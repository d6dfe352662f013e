"""Charts: from records to Vega-Lite specifications, by Altair."""
