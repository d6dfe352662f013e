"""The loops that store their residuals in place."""
