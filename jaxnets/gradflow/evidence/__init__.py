"""From a loss, a model and batches to records, verdicts and a page, in one call.

`networks` makes the models, `program` measures and trains them in one compiled
program, `arrays` has the numbers of each parameter array, `curvature` the sharpness and
the noise, `collector` puts the records together, `collecting` checks the arguments, and
`diagnosing` has the call and its result; `remedies` applies remedies to a copy and
measures it. These files import Flax and Optax inside their functions, so `import
jaxnets.gradflow` stays cheap.
"""

from jaxnets.gradflow.evidence.diagnosing import Diagnosis, diagnose


__all__ = ["Diagnosis", "diagnose"]
