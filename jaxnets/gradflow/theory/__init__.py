"""Predictions of how signals and gradients change from layer to layer.

Mean-field theory takes the limit of wide layers with independent random weights, in
which the pre-activations of a layer are Gaussian with one variance q. `weight_variance`
is the fan-in times the variance of a weight (`sigma_w^2`), `bias_variance` the variance
of a bias (`sigma_b^2`). Slopes are in nats per layer or step: they are natural
logarithms of a gradient's norm. Divide by `log(10)` to compare with base-10 records.

All results are float64 numbers or NumPy arrays, computed outside of `jit`.
"""

from jaxnets.gradflow.theory.batch_norm import batch_norm_slope
from jaxnets.gradflow.theory.borders import conv_border_fraction, conv_border_rate
from jaxnets.gradflow.theory.correlations import (
    correlation_map,
    correlation_slope,
    fixed_point_correlation,
    length_slope,
)
from jaxnets.gradflow.theory.criticality import critical_line
from jaxnets.gradflow.theory.finite_width import Spread, finite_width_spread
from jaxnets.gradflow.theory.gated_profiles import (
    gru_gradient_profile,
    lstm_gradient_profile,
)
from jaxnets.gradflow.theory.gates import GateSlopes, gate_slopes
from jaxnets.gradflow.theory.mean_field import (
    chi_1,
    depth_scale,
    fixed_point_length,
    length_map,
)
from jaxnets.gradflow.theory.profiles import (
    plain_gradient_profile,
    residual_gradient_profile,
)
from jaxnets.gradflow.theory.resnet_profiles import (
    batch_norm_resnet_profile,
    resnet_gradient_profile,
)
from jaxnets.gradflow.theory.shattering import residual_gradient_correlation
from jaxnets.gradflow.theory.slopes import (
    forget_gate_slope,
    plain_relu_slope,
    residual_relu_slope,
    rnn_slope,
)


__all__ = [
    "GateSlopes",
    "Spread",
    "batch_norm_resnet_profile",
    "batch_norm_slope",
    "chi_1",
    "conv_border_fraction",
    "conv_border_rate",
    "correlation_map",
    "correlation_slope",
    "critical_line",
    "depth_scale",
    "finite_width_spread",
    "fixed_point_correlation",
    "fixed_point_length",
    "forget_gate_slope",
    "gate_slopes",
    "gru_gradient_profile",
    "length_map",
    "length_slope",
    "lstm_gradient_profile",
    "plain_gradient_profile",
    "plain_relu_slope",
    "residual_gradient_correlation",
    "residual_gradient_profile",
    "residual_relu_slope",
    "resnet_gradient_profile",
    "rnn_slope",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
