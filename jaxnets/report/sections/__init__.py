"""The sections of the page, with one file for each study."""
