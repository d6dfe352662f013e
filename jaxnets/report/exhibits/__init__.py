"""Exhibits of a task as HTML: texts, heat maps and drawings."""
