"""One module a suite: it turns a row of the grid into functions to time."""
