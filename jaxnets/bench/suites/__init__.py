"""The suites: each module turns a row of its grid into functions to time."""

from jaxnets.bench.suites import gradflow, ops, recurrent, stack, training


# For each suite, the function that turns a row of its grid into cases.
CASES = {
    "ops": ops.cases,
    "recurrent": recurrent.cases,
    "training": training.cases,
    "gradflow": gradflow.cases,
    "stack": stack.cases,
}
