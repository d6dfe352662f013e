"""Make the stored references, which PyTorch, Keras and Haiku compute.

    python make_references.py pytorch|keras|haiku

Run it in an interpreter that has the library and NumPy; it does not import jaxnets. The
files in `references` name the versions that made them.

The inputs and weights are drawn with two decimals, which the file holds exactly. The
results are computed in float64 (in Keras in float32, as with JAX its activations have
no other dtype) and written with eight digits. A case has the input `x` (batch, time,
features), the `weights` in the library's own names and layout, the outputs `ys` (batch,
time, outputs) and the arrays of the final `state` in the library's order. For the
cotangents `ys_bar` and `state_bar` it has the `gradients` of
`sum(ys * ys_bar) + sum(state * state_bar)` with respect to `x` and `weights`.
"""
# pyright: reportMissingImports=false

import json
import os
import pathlib
import sys

import numpy as np


FOLDER = pathlib.Path(__file__).parent / "references"
BATCH, TIME, FEATURES, HIDDEN = 2, 4, 3, 3


def drawn(rng, shape):
    return np.round(0.7 * rng.standard_normal(shape), 2)


def plain(tree):
    """Turn arrays into nested lists of numbers with eight digits."""
    if isinstance(tree, dict):
        return {name: plain(item) for name, item in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain(item) for item in tree]
    array = np.asarray(tree)
    numbers = [float(f"{number:.8g}") for number in array.ravel()]
    return np.array(numbers).reshape(array.shape).tolist()


def case(kind, x, weights, results, cotangents, gradients):
    """Collect a case; results and cotangents are `[ys, *state]`."""
    arrays = {
        "x": x,
        "weights": weights,
        "ys": results[0],
        "state": results[1:],
        "ys_bar": cotangents[0],
        "state_bar": cotangents[1:],
        "gradients": gradients,
    }
    return {"kind": kind, **{name: plain(item) for name, item in arrays.items()}}


def pytorch():
    import torch

    modules = {
        "lstm, 2 layers, 2 directions, projection": torch.nn.LSTM(
            FEATURES, HIDDEN, 2, bidirectional=True, proj_size=2, batch_first=True
        ),
        "gru, 2 layers": torch.nn.GRU(FEATURES, HIDDEN, 2, batch_first=True),
        "rnn": torch.nn.RNN(FEATURES, HIDDEN, batch_first=True),
    }
    rng = np.random.default_rng(0)
    cases = {}
    for name, module in modules.items():
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.from_numpy(drawn(rng, parameter.shape)))
        x = torch.from_numpy(drawn(rng, (BATCH, TIME, FEATURES))).requires_grad_()
        ys, state = module(x)
        results = [ys, *state] if isinstance(state, tuple) else [ys, state]
        bars = [torch.from_numpy(drawn(rng, result.shape)) for result in results]
        torch.autograd.backward(results, bars)
        parameters = dict(module.named_parameters())
        numbers = lambda tensors: [tensor.detach().numpy() for tensor in tensors]
        weights = dict(zip(parameters, numbers(parameters.values()), strict=True))
        gradients = {key: p.grad.numpy() for key, p in parameters.items()}
        cases[name] = case(
            name.partition(",")[0],
            x.detach().numpy(),
            weights,
            numbers(results),
            numbers(bars),
            {"x": x.grad.numpy(), "weights": gradients},
        )
    return {"torch": torch.__version__}, cases


def differentiated(kind, run, weights, rng):
    """Make a case of `run(weights, x)`, which returns `[ys, *state]`, with JAX."""
    import jax

    x = drawn(rng, (BATCH, TIME, FEATURES))
    results = run(weights, x)
    bars = [drawn(rng, result.shape) for result in results]

    def loss(weights, x):
        pairs = zip(run(weights, x), bars, strict=True)
        return sum((a * b).sum() for a, b in pairs)

    by_weights, by_x = jax.grad(loss, argnums=(0, 1))(weights, x)
    gradients = {"x": by_x, "weights": by_weights}
    return case(kind, x, weights, results, bars, gradients)


def keras():
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    layers = keras.layers
    options = {"return_sequences": True, "return_state": True}
    modules = {
        "lstm": layers.LSTM(HIDDEN, **options),
        "lstm, 2 directions": layers.Bidirectional(layers.LSTM(HIDDEN, **options)),
        "gru, reset after": layers.GRU(HIDDEN, **options),
        "gru, reset before": layers.GRU(HIDDEN, reset_after=False, **options),
        "rnn": layers.SimpleRNN(HIDDEN, **options),
        "rnn, no bias": layers.SimpleRNN(HIDDEN, use_bias=False, **options),
    }
    rng = np.random.default_rng(1)
    cases = {}
    for name, module in modules.items():
        module.build((None, TIME, FEATURES))
        weights = [drawn(rng, variable.shape) for variable in module.weights]
        rest = [variable.value for variable in module.non_trainable_variables]

        def run(weights, x, module=module, rest=rest):
            weights = [jax.numpy.asarray(array) for array in weights]
            return list(module.stateless_call(weights, rest, x)[0])

        cases[name] = differentiated(name.partition(",")[0], run, weights, rng)
    return {"keras": keras.__version__, "jax": jax.__version__}, cases


def haiku():
    os.environ["JAX_ENABLE_X64"] = "1"
    import haiku as hk
    import jax

    cores = {
        "lstm, 2 layers": lambda: hk.DeepRNN([hk.LSTM(HIDDEN), hk.LSTM(HIDDEN)]),
        "gru": lambda: hk.GRU(HIDDEN),
        "rnn": lambda: hk.VanillaRNN(HIDDEN),
        "rnn, one bias": lambda: hk.VanillaRNN(HIDDEN, double_bias=False),
    }
    rng = np.random.default_rng(2)
    cases = {}
    for name, make in cores.items():

        def unroll(x, make=make):
            core = make()
            return hk.dynamic_unroll(
                core, x, core.initial_state(BATCH), time_major=False
            )

        transformed = hk.transform(unroll)
        initial = transformed.init(jax.random.key(0), np.zeros((BATCH, TIME, FEATURES)))
        weights = jax.tree.map(lambda w: drawn(rng, w.shape), initial)

        def run(weights, x, apply=transformed.apply):
            ys, state = apply(weights, None, x)
            return [ys, *jax.tree.leaves(state)]

        cases[name] = differentiated(name.partition(",")[0], run, weights, rng)
    return {"dm-haiku": hk.__version__, "jax": jax.__version__}, cases


def main():
    (library,) = sys.argv[1:]
    versions, cases = {"pytorch": pytorch, "keras": keras, "haiku": haiku}[library]()
    versions |= {"numpy": np.__version__, "python": sys.version.split()[0]}
    lines = [f'"versions": {json.dumps(versions)}']
    for name, fields in cases.items():
        rows = [f"{json.dumps(key)}: {json.dumps(v)}" for key, v in fields.items()]
        lines.append(f"{json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n}")
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (FOLDER / f"{library}.json").write_text(text)


if __name__ == "__main__":
    main()
