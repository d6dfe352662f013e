"""Static pages that run an LSTM in the browser, in plain JavaScript."""
