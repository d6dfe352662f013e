"""The suites: each module turns a row of its grid into functions to time."""
