"""Sections of the page, one file a study."""
