"""Charts: records become Altair descriptions."""
