"""Static pages that run a network in the browser, in plain JavaScript."""
