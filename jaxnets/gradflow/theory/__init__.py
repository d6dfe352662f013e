"""What theory predicts: how the length of signals and gradients changes by layer.

Mean-field theory takes the limit of wide layers with random independent weights, where
the pre-activations of a layer are Gaussian with one variance q. `weight_variance` is
the variance of a weight times the fan-in (`sigma_w^2`), `bias_variance` that of a bias
(`sigma_b^2`). Slopes are natural logarithms of a gradient's norm, per layer or step; to
compare with base-10 records divide by `log(10)`.

These are plain float64 numbers for a line in a chart, not for use under `jit`.
"""

from jaxnets.gradflow.theory.batch_norm import batch_norm_slope as batch_norm_slope
from jaxnets.gradflow.theory.borders import conv_border_fraction as conv_border_fraction
from jaxnets.gradflow.theory.borders import conv_border_rate as conv_border_rate
from jaxnets.gradflow.theory.correlations import correlation_map as correlation_map
from jaxnets.gradflow.theory.correlations import correlation_slope as correlation_slope
from jaxnets.gradflow.theory.correlations import (
    fixed_point_correlation as fixed_point_correlation,
)
from jaxnets.gradflow.theory.correlations import length_slope as length_slope
from jaxnets.gradflow.theory.criticality import critical_line as critical_line
from jaxnets.gradflow.theory.finite_width import Spread as Spread
from jaxnets.gradflow.theory.finite_width import (
    finite_width_spread as finite_width_spread,
)
from jaxnets.gradflow.theory.gated_profiles import (
    gru_gradient_profile as gru_gradient_profile,
)
from jaxnets.gradflow.theory.gated_profiles import (
    lstm_gradient_profile as lstm_gradient_profile,
)
from jaxnets.gradflow.theory.gates import GateSlopes as GateSlopes
from jaxnets.gradflow.theory.gates import gate_slopes as gate_slopes
from jaxnets.gradflow.theory.mean_field import chi_1 as chi_1
from jaxnets.gradflow.theory.mean_field import depth_scale as depth_scale
from jaxnets.gradflow.theory.mean_field import fixed_point_length as fixed_point_length
from jaxnets.gradflow.theory.mean_field import length_map as length_map
from jaxnets.gradflow.theory.profiles import (
    plain_gradient_profile as plain_gradient_profile,
)
from jaxnets.gradflow.theory.profiles import (
    residual_gradient_profile as residual_gradient_profile,
)
from jaxnets.gradflow.theory.resnet_profiles import (
    batch_norm_resnet_profile as batch_norm_resnet_profile,
)
from jaxnets.gradflow.theory.resnet_profiles import (
    resnet_gradient_profile as resnet_gradient_profile,
)
from jaxnets.gradflow.theory.shattering import (
    residual_gradient_correlation as residual_gradient_correlation,
)
from jaxnets.gradflow.theory.slopes import forget_gate_slope as forget_gate_slope
from jaxnets.gradflow.theory.slopes import plain_relu_slope as plain_relu_slope
from jaxnets.gradflow.theory.slopes import residual_relu_slope as residual_relu_slope
from jaxnets.gradflow.theory.slopes import rnn_slope as rnn_slope
