"""A program that compiles the TPU kernels for a generation that is not here.

`python -m tests.functional.recurrence.kernels.tpu_compiler v5e` needs libtpu, which
contains the compiler, and no TPU. It prints a JSON object of what it found.
"""

import functools
import itertools
import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from jaxnets import functional as F
from jaxnets.bench.compiled.compiler import devices_of
from jaxnets.functional.recurrence.cells import lstm_cell
from jaxnets.functional.recurrence.kernels.candidate import pallas_kernel
from jaxnets.functional.recurrence.kernels.gates import GATES, STATES
from jaxnets.functional.recurrence.kernels.tpu import passes
from jaxnets.functional.recurrence.time.options import parse_scan


# Sequences, steps and features: the second has two batch tiles.
SIZES = [(3, 7, 5), (137, 19, 300)]


def compile_kernel(device, which, cell, dtype, sizes, masked=True, reverse=True):
    """Compile the forward or the backward kernel of a cell."""
    batch, time, hidden = sizes
    array = functools.partial(jax.ShapeDtypeStruct, sharding=device)
    steps = lambda count: array((time, batch, count * hidden), dtype)
    gates = GATES[cell]
    state = (array((batch, hidden), jnp.float32),) * STATES[cell]
    codes = array((time, batch), jnp.int32) if masked else None
    w_hh = array((hidden, gates * hidden), dtype)
    if which == "forward":
        b_h = array((hidden,), jnp.float32) if cell == "gru" else None
        given = steps(gates), w_hh, b_h, state, codes
    else:
        pre = (steps(gates), steps(1)) if cell == "gru" else (steps(gates),)
        c = (array((time, batch, hidden), jnp.float32),) if cell == "lstm" else ()
        given = pre, w_hh, (steps(1), *c), codes, steps(1), state
    kernel = functools.partial(getattr(passes, which), cell, reverse=reverse)
    return jax.jit(kernel).lower(*given).compile()


def failures(device):
    """Return what the compiler says to each kernel that does not compile."""
    found = {}
    dtypes = jnp.float32, jnp.bfloat16
    for case in itertools.product(("forward", "backward"), GATES, dtypes, SIZES):
        # Half of the cases have no masks, and half of those go forward in time.
        small = case[-1] == SIZES[0]
        try:
            # In float64 mode too, where JAX makes integers of 64 bits.
            with jax.enable_x64(small):
                compile_kernel(device, *case, masked=small, reverse=small)
        except Exception as error:
            found[str(case)] = str(error)
    return found


def program_of_gradients(device):
    """Return the compiled program of a loss of an LSTM and its gradients, as text."""
    array: Any = functools.partial(
        jax.ShapeDtypeStruct, dtype=jnp.float32, sharding=device
    )
    params = F.LSTMParams(array((4, 40)), array((10, 40)), array((40,)))
    x, state = array((30, 3, 4)), F.LSTMState(array((3, 10)), array((3, 10)))
    kernel = pallas_kernel("lstm", lstm_cell._bind, coupled_gates=False)

    def loss(params, x, state):
        options = parse_scan(x, (3,), time_major=True)
        return jnp.sum(kernel.run("tpu", params, x, state, options)[1])

    gradients = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    return gradients.lower(params, x, state).compile().as_text()


if __name__ == "__main__":
    device = SingleDeviceSharding(devices_of(sys.argv[1])[0])
    program: Any = program_of_gradients(device)
    found = {
        "failures": failures(device),
        "kernels": program.count('custom_call_target="tpu_custom_call"'),
        "loops": program.count(" while("),
    }
    print(json.dumps(found))
