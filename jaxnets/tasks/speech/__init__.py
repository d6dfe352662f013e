"""Speech: a network that writes down the words of a sound.

The words are spoken one at a time in the training data. The network learns strings of
them with connectionist temporal classification, which needs no times of the words.
"""

from jaxnets.tasks.speech.training import TASK, prepare


__all__ = ["TASK", "prepare"]
