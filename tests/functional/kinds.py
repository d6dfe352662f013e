"""Which cases stand for the others where only the kind of program matters.

There is one of each loop over time, of each implementation of a convolution or a pool
and of each derivative rule. Every case has the tests of what its own formula may get
wrong. The slow tests of what its kind may get wrong run these.
"""

from collections.abc import Iterable

import pytest

from tests.cases import Case


KINDS = frozenset(
    {
        "conv-dilated-grouped",
        "conv-strided-same",
        "conv-3d",
        "conv-transpose-grouped",
        "depthwise-multiplied",
        "separable",
        "causal-with-state",
        "fold-dilated",
        "batch-norm",
        "max-pool",
        "max-pool-overlapping-dilated",
        "max-pool-3d-circular-ceil",
        "sum-pool-circular",
        "lp-pool-overlapping",
        "logsumexp-pool",
        "max-pool-with-indices",
        "max-unpool",
        "adaptive-avg-pool",
        "rnn-in_place",
        "gru-split",
        "lstm-in_place",
        "gru-reset-before-scan",
        "lstm-peephole-projection-coupled-clip-split",
        "min_gru-associative",
        "min_gru-scan",
        "min_lstm-associative_log",
        "recur",
        "additive-attention",
        # Those of `cases_distribution`.
        "conv-shifts",
        "conv-blocks",
        "conv-planes",
        "conv-library",
        "conv-transpose-phases",
        "max_pool-winners",
        "sum_pool-reshape",
        "sum_pool-native",
        "lstm-from-zero",
        "min_gru-from-zero",
        "bidirectional",
        "conv-lstm",
    }
)


def each_kind(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Parametrize `case` with those of `KINDS`."""
    chosen = [case for case in cases if case.name in KINDS]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)
