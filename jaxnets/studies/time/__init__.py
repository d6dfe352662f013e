"""The study of time: recurrent against gated networks."""
