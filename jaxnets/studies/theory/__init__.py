"""The study that measures claims of the literature beside their predictions."""
