"""The study of theory: claims of the literature, measured without training."""
