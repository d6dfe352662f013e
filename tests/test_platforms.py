"""Programs are made for the platform that they are lowered for, not the one here."""

import functools
import re
from collections import Counter
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets
import jaxnets.functional as F
from jaxnets.choices import Candidate, choose, run_chosen
from jaxnets.gradflow import measure
from jaxnets.platforms import default_platform, run_by_platform, run_only_on


IMAGES = jnp.ones((2, 6, 6, 4))
SEQUENCES = jnp.ones((2, 5, 3))
LSTM = F.init_lstm(jax.random.key(0), 3, 2)
# What decides between the branches of platforms.
BRANCHES = {"case", "return", "constant"}
# Zeros stand for what the derivative of another platform would keep. In a loop JAX
# before 0.12 reads those of each step, which XLA leaves out.
ZEROS = {"broadcast_in_dim"}
if jax.__version_info__ < (0, 12):
    ZEROS |= {"dynamic_slice", "reshape"}


def operations(function, arguments, platform):
    """Count the operations of the program for a platform, by name."""
    exported = jax.export.export(jax.jit(function), platforms=[platform])(*arguments)
    count, filled = Counter(), {}
    line = re.compile(r"(?:(%\w+)\S* = )?\"?stablehlo\.(\w+)\"?\(? ?(%\w*)?")
    for result, name, operand in line.findall(exported.mlir_module()):
        # Where zeros stand for what another platform keeps, JAX may slice these too.
        if name == "slice" and filled.get(operand):
            continue
        filled[result] = name == "broadcast_in_dim" and operand.startswith("%cst")
        count[name] += name not in BRANCHES
    return +count


FUNCTIONS = {
    "depthwise_conv": F.depthwise_conv,
    "grouped conv": functools.partial(F.conv, feature_group_count=2),
    "conv_transpose": functools.partial(F.conv_transpose, strides=2),
    "max_pool": functools.partial(F.max_pool, window_shape=3, strides=2),
    "avg_pool": functools.partial(F.avg_pool, window_shape=2),
    "lstm": F.lstm,
    "narrow gru": F.gru,
    "min_lstm": F.min_lstm,
}
ARGUMENTS = {
    "depthwise_conv": (IMAGES, jnp.ones((3, 3, 4, 1))),
    "grouped conv": (IMAGES, jnp.ones((3, 3, 2, 4))),
    "conv_transpose": (IMAGES, jnp.ones((2, 2, 4, 4))),
    "max_pool": (IMAGES,),
    "avg_pool": (IMAGES,),
    "lstm": (LSTM, SEQUENCES),
    "narrow gru": jax.tree.map(
        jnp.bfloat16, (F.init_gru(jax.random.key(0), 3, 2), SEQUENCES)
    ),
    "min_lstm": (F.init_min_lstm(jax.random.key(0), 3, 2), SEQUENCES),
}


def loss(name, *arguments, **options):
    leaves = jax.tree.leaves(FUNCTIONS[name](*arguments, **options))
    return sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in leaves)


def gradient(name, *arguments, **options):
    of = tuple(range(len(arguments)))
    run = functools.partial(loss, name, **options)
    return jax.grad(run, of)(*arguments)


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_each_platform_gets_the_program_of_its_own_choice(name):
    function, arguments = FUNCTIONS[name], ARGUMENTS[name]
    run, programs = functools.partial(gradient, name), {}
    for platform in ("cpu", "cuda", "tpu"):
        plan = jaxnets.plan(function, *arguments, platform=platform)
        assert plan.backend == platform
        forced = functools.partial(run, implementation=plan.implementation or "")
        programs[platform] = operations(run, arguments, platform)
        wanted = operations(forced, arguments, platform)
        assert not wanted - programs[platform]
        assert set(programs[platform] - wanted) <= ZEROS
    assert programs["cpu"] != programs["tpu"]
    assert "optimization_barrier" not in programs["tpu"]


def layers(x, kernels, **options):
    """A depthwise convolution and a maximum in each of several layers."""
    layer = lambda h, k: (F.max_pool(F.depthwise_conv(h, k, **options), 1), None)
    return jax.lax.scan(layer, x, kernels)[0]


FUNCTIONS["scan"] = layers
ARGUMENTS["scan"] = (IMAGES, jnp.ones((3, 3, 3, 4, 1)))


@pytest.mark.parametrize("name", ["depthwise_conv", "max_pool", "narrow gru", "scan"])
def test_the_compiled_program_has_nothing_of_other_platforms(name):
    """Nor does it store what the derivative of another platform would need."""
    plan = jaxnets.plan(FUNCTIONS[name], *ARGUMENTS[name])
    texts, memory = [], []
    for how in ({}, {"implementation": plan.implementation}):
        run = jax.jit(functools.partial(gradient, name, **how))
        compiled = run.lower(*ARGUMENTS[name]).compile()
        names = re.findall(r" = \S+ ([\w-]+)\(", compiled.as_text() or "")
        texts.append(Counter(names))
        analysis: Any = compiled.memory_analysis()
        memory.append(analysis.temp_size_in_bytes)
    assert texts[0] == texts[1]
    assert memory[0] == memory[1]


def test_a_program_for_all_platforms_runs_here():
    (batch,) = jax.export.symbolic_shape("batch")
    x = jax.ShapeDtypeStruct((batch, *SEQUENCES.shape[1:]), jnp.float32)
    platforms = ("cpu", "cuda", "rocm", "tpu")
    run = jax.jit(lambda x: jax.value_and_grad(lambda x: loss("lstm", LSTM, x))(x))
    exported = jax.export.export(run, platforms=platforms)(x)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-6),
        exported.call(SEQUENCES),
        run(SEQUENCES),
    )


def test_the_platform_of_a_plan():
    planned = functools.partial(jaxnets.plan, F.lstm, LSTM, SEQUENCES)
    assert planned().backend == default_platform() == "cpu"
    assert planned(platform="gpu").backend == "gpu"
    assert planned(platform="gpu").choices == planned(platform="cuda").choices
    assert str(planned(platform="tpu")).startswith("lstm on tpu: split")
    with pytest.raises(ValueError, match="`platform` is 'npu'; wanted None or one of"):
        planned(platform="npu")
    with jax.default_device(jax.devices()[0]):
        assert planned().backend == "cpu"


def test_the_taps_of_all_platforms_are_the_same_taps():
    """A tap in each of two branches would be found twice, as `h` and `h#2`."""
    only_here = lambda x: measure(lambda x: loss("lstm", LSTM, x), x).taps
    found = only_here(SEQUENCES)
    assert list(found) == ["i", "f", "g", "c", "o", "h"]
    assert all(np.isfinite(stats.norm).all() for stats in found.values())
    forced = functools.partial(loss, "lstm", LSTM, implementation="scan")
    for taps in (found, jax.jit(only_here)(SEQUENCES)):
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5),
            taps,
            measure(forced, SEQUENCES).taps,
        )
    # The numbers go on after the branches, whose counts may differ.
    both = lambda x: loss("lstm", LSTM, x) + loss("lstm", LSTM, 2 * x)
    names = list(measure(both, SEQUENCES).taps)
    assert names[:6] == list(found) and names[6:] == [f"{n}#2" for n in found]


def test_what_cannot_run_on_a_platform_is_an_error_when_it_is_lowered():
    def candidates(platform):
        reason = None if platform == "tpu" else "needs a TPU"
        return [Candidate("plain"), Candidate("fast", reason, reason is None)]

    def run(x):
        return run_chosen(choose("f", "fast", candidates), lambda name: {"y": 2 * x})

    text = "`implementation` is 'fast', which cannot run here: needs a TPU"
    with pytest.raises(ValueError, match=text):
        run(1.0)
    y, x = lambda x: run(x)["y"], jnp.ones(())
    for program in (
        y,
        jax.grad(y),
        lambda x: jax.jvp(y, (x,), (x,))[1],
        lambda x: jax.vmap(y)(x[None]),
    ):
        with pytest.raises(ValueError, match=text):
            jax.jit(program)(x)
    assert jax.eval_shape(run, 1.0)["y"].shape == ()
    jax.export.export(jax.jit(run), platforms=["tpu"])(1.0)
    with pytest.raises(ValueError, match=text):
        jaxnets.plan(run, 1.0)


def test_a_platform_without_a_name_runs_what_rocm_runs(monkeypatch):
    taken = lambda *arguments, default, **_: default(*arguments)
    monkeypatch.setattr(jax.lax, "platform_dependent", taken)
    names = {"cpu": "a", "cuda": "b", "rocm": "c", "tpu": "d"}
    assert run_by_platform(names, lambda name: name, {}) == "c"


def test_what_only_one_platform_can_lower():
    factor = jnp.arange(3.0)
    function = lambda pair: {"y": factor * pair[0] + pair[1]}
    only_on_tpus = lambda *pair: run_only_on("tpu", function, pair)
    names = {"cpu": "plain", "cuda": "plain", "rocm": "plain", "tpu": "kernel"}

    def run(x, y):
        both = {"kernel": only_on_tpus, "plain": lambda x, y: function((x, y))}
        return run_by_platform(names, lambda name: both[name](x, y), {})

    x = jnp.ones((2, 3))
    mapped = jax.jit(jax.vmap(run, (0, None)))
    exported = jax.export.export(mapped, platforms=("cpu", "tpu"))(x, 1.0)
    np.testing.assert_array_equal(exported.call(x, 1.0)["y"], x * factor + 1)
    with pytest.raises(ValueError, match="can be lowered for 'tpu' only"):
        jax.jit(only_on_tpus)(x, 1.0)
    here = jax.vmap(lambda x: run_only_on("cpu", function, (x, 1.0)))
    for results in (here(x), jax.jit(here)(x)):
        np.testing.assert_array_equal(results["y"], x * factor + 1)
