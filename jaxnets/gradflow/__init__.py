"""Instruments: how gradients flow, measured, predicted and put into words."""

from jaxnets.gradflow import theory as theory
from jaxnets.gradflow.adjoint import log_adjoint_norms as log_adjoint_norms
from jaxnets.gradflow.adjoint_parts import AdjointParts as AdjointParts
from jaxnets.gradflow.adjoint_parts import adjoint_parts as adjoint_parts
from jaxnets.gradflow.correlation import gradient_correlation as gradient_correlation
from jaxnets.gradflow.diagnosis import Verdict as Verdict
from jaxnets.gradflow.diagnosis import flow_records as flow_records
from jaxnets.gradflow.diagnosis import verdicts as verdicts
from jaxnets.gradflow.measure import Flow as Flow
from jaxnets.gradflow.measure import measure as measure
from jaxnets.gradflow.measure import measure_both_ways as measure_both_ways
from jaxnets.gradflow.measure import responses as responses
from jaxnets.gradflow.paths import branch as branch
from jaxnets.gradflow.paths import effective_path_length as effective_path_length
from jaxnets.gradflow.spectra import jacobian_spectrum as jacobian_spectrum
from jaxnets.gradflow.spectra import lyapunov_spectrum as lyapunov_spectrum
from jaxnets.gradflow.units import dead_units as dead_units
from jaxnets.gradflow.units import gate_timescales as gate_timescales
from jaxnets.gradflow.units import saturation as saturation
from jaxnets.gradflow.updates import GradientNoise as GradientNoise
from jaxnets.gradflow.updates import gradient_noise_scale as gradient_noise_scale
from jaxnets.gradflow.updates import update_ratios as update_ratios
from jaxnets.tap import ResponseStats as ResponseStats
from jaxnets.tap import TapStats as TapStats
from jaxnets.tap import scope as scope
from jaxnets.tap import tap as tap
