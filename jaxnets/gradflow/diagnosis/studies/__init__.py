"""Verdicts on the studies: a module for each, with a function `judge(records)`."""
