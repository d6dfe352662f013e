"""The study of recurrent and gated networks over time."""
