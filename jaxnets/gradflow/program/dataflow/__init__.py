"""The data flow of a traced program: taps, series of them, and what is blocked."""
