"""The records that `diagnose` judges, without the verdicts and their remedies."""

from jaxnets.gradflow.evidence.collecting import collector_of


def collect(loss, model_or_make, batches, **options):
    """The records of the networks, and their flows before training."""
    models, collector = collector_of(loss, model_or_make, batches, **DEFAULTS | options)
    return collector.collect(models)


DEFAULTS = {
    "seeds": 3,
    "optimizer": None,
    "steps": 0,
    "classes": None,
    "name": "model",
}
