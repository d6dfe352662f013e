"""Instruments that measure, predict and diagnose how gradients flow."""

from jaxnets.gradflow import theory
from jaxnets.gradflow.adjoint import log_adjoint_norms
from jaxnets.gradflow.adjoint_split import AdjointParts, adjoint_parts
from jaxnets.gradflow.correlation import gradient_correlation
from jaxnets.gradflow.diagnosis import Verdict, flow_records, verdicts
from jaxnets.gradflow.evidence import Diagnosis, diagnose
from jaxnets.gradflow.measurement import Flow, measure
from jaxnets.gradflow.modules import measure_module
from jaxnets.gradflow.monitoring import Monitor, MonitorReport
from jaxnets.gradflow.paths import effective_path_length, lesion_profile
from jaxnets.gradflow.schedules import Schedule, every, log_spaced
from jaxnets.gradflow.spectra import (
    jacobian_spectrum,
    lyapunov_spectrum,
    sharpness,
)
from jaxnets.gradflow.units import (
    AttentionStats,
    attention_stats,
    dead_units,
    gate_timescales,
    saturation,
)
from jaxnets.gradflow.updates import (
    GradientNoise,
    gradient_noise_scale,
    update_ratios,
)
from jaxnets.tap import ResponseStats, TapStats, branch, scope, tap


__all__ = [
    "AdjointParts",
    "AttentionStats",
    "Diagnosis",
    "Flow",
    "GradientNoise",
    "Monitor",
    "MonitorReport",
    "ResponseStats",
    "Schedule",
    "TapStats",
    "Verdict",
    "adjoint_parts",
    "attention_stats",
    "branch",
    "dead_units",
    "diagnose",
    "effective_path_length",
    "every",
    "flow_records",
    "gate_timescales",
    "gradient_correlation",
    "gradient_noise_scale",
    "jacobian_spectrum",
    "lesion_profile",
    "log_adjoint_norms",
    "log_spaced",
    "lyapunov_spectrum",
    "measure",
    "measure_module",
    "saturation",
    "scope",
    "sharpness",
    "tap",
    "theory",
    "update_ratios",
    "verdicts",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
