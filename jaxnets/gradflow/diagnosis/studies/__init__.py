"""Verdicts on the records of a study, one file a study."""
