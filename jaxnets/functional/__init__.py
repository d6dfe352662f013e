"""Convolution, pooling, recurrence, attention and generation as pure functions."""

from jaxnets.functional.activations import crelu
from jaxnets.functional.convolution.causal import causal_conv
from jaxnets.functional.convolution.depthwise import depthwise_conv, separable_conv
from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.initializers import (
    delta_orthogonal_init,
    looks_linear_init,
)
from jaxnets.functional.convolution.transposed import conv_transpose
from jaxnets.functional.normalization import batch_norm
from jaxnets.functional.pooling.adaptive import adaptive_avg_pool, adaptive_max_pool
from jaxnets.functional.pooling.fractional import fractional_max_pool
from jaxnets.functional.pooling.global_pool import (
    global_avg_pool,
    global_max_pool,
    global_sum_pool,
)
from jaxnets.functional.pooling.indices import max_pool_with_indices, max_unpool
from jaxnets.functional.pooling.norms import logsumexp_pool, lp_pool
from jaxnets.functional.pooling.patches import fold, unfold
from jaxnets.functional.pooling.window import avg_pool, max_pool, sum_pool
from jaxnets.functional.recurrence import cells
from jaxnets.functional.recurrence.cell_options import LayerNormParams
from jaxnets.functional.recurrence.cells import *  # noqa: F403
from jaxnets.functional.recurrence.custom_step import recur
from jaxnets.functional.recurrence.directions import bidirectional
from jaxnets.functional.recurrence.initializers import (
    chrono_bias,
    identity_init,
    uniform_init,
)
from jaxnets.functional.recurrence.parallel.shooting import (
    Certificate,
    solve_in_parallel,
)
from jaxnets.functional.sequences.attention import (
    additive_attention,
    dot_product_attention,
)
from jaxnets.functional.sequences.beams import Beams, beam_search
from jaxnets.functional.sequences.mixtures import mixture_density_loss, sample_mixture
from jaxnets.functional.sequences.sampling import sample_logits
from jaxnets.functional.sequences.spectra import log_mel
from jaxnets.functional.sequences.streaming import generate
from jaxnets.functional.shaped_activations import (
    ShapedActivation,
    dks,
    tat,
    tat_leaky_relu,
)


__all__ = [
    "Beams",
    "Certificate",
    "LayerNormParams",
    "ShapedActivation",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "additive_attention",
    "avg_pool",
    "batch_norm",
    "beam_search",
    "bidirectional",
    "causal_conv",
    "chrono_bias",
    "conv",
    "conv_transpose",
    "crelu",
    "delta_orthogonal_init",
    "depthwise_conv",
    "dks",
    "dot_product_attention",
    "fold",
    "fractional_max_pool",
    "generate",
    "global_avg_pool",
    "global_max_pool",
    "global_sum_pool",
    "identity_init",
    "log_mel",
    "logsumexp_pool",
    "looks_linear_init",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "mixture_density_loss",
    "recur",
    "sample_logits",
    "sample_mixture",
    "separable_conv",
    "solve_in_parallel",
    "sum_pool",
    "tat",
    "tat_leaky_relu",
    "unfold",
    "uniform_init",
]
# The functions and types of every cell, as its row of the table exports them.
__all__ += cells.__all__


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
