"""Sentiment: whether a sentence praises, by a CNN and an LSTM beside a bag of words.

Both networks read the words in their order. The bag of words, which is the floor, does
not see which word a negation belongs to.
"""

from jaxnets.tasks.sentiment.training import TASK, prepare


__all__ = ["TASK", "prepare"]
