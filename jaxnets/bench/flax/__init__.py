"""The peers from Flax: recurrences and networks built from its own layers."""
