"""All seeds in one program, each as if it were alone; `fit` and its history."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.training import (
    classification,
    compile_program,
    fit,
    generated,
    make_step,
    random_key,
    shuffled,
    train_state,
)
from tests.training.networks import Tiny, assert_close, examples


DATA = examples(14)
OPTIMIZER = optax.sgd(0.1, momentum=0.9)
SEEDS = (3, 7)
BATCH, EPOCHS = 4, 2


def watch(taps, responses):
    return {"norm": taps["first"].norm, "std": responses["first"].std}


def compiled(over_seeds, seeds=SEEDS, batches=None):
    return compile_program(
        Tiny,
        classification,
        OPTIMIZER,
        batches or shuffled(DATA, BATCH),
        seeds=seeds,
        over_seeds=over_seeds,
        watch=watch,
    )


@pytest.fixture(scope="module", params=["map", "vmap"])
def program(request):
    return request.param, compiled(request.param)


@pytest.fixture(scope="module")
def fitted(program):
    seen = []
    evaluation = {"train": DATA, "test": examples(5, 1)}
    on_epoch = lambda *arguments: seen.append(arguments)
    state, history = fit(program[1], EPOCHS, evaluation, on_epoch=on_epoch)
    return state, history, seen


def of_seed(tree, index):
    return jax.tree.map(lambda array: array[index], tree)


def test_every_seed_trains_as_if_it_were_alone(program, fitted):
    over_seeds, _ = program
    state, history, _ = fitted
    alone, its_history = fit(compiled(over_seeds, SEEDS[1:]), EPOCHS, {})
    assert_close(of_seed(state, 1), of_seed(alone, 0))
    assert_close(of_seed(history.reports, 1), of_seed(its_history.reports, 0))


# With "vmap" dropout has another generator, so only "map" is compared.
@pytest.mark.parametrize("program", ["map"], indirect=True)
def test_map_is_a_loop_of_steps(program, fitted):
    state, history, _ = fitted
    definition, alone = train_state(Tiny(nnx.Rngs(random_key(SEEDS[1]))), OPTIMIZER)
    step = jax.jit(make_step(definition, classification, OPTIMIZER))
    losses = []
    for epoch in range(1, EPOCHS + 1):
        drawn = program[1].batches(jax.random.fold_in(random_key(0), epoch))
        for x, y in zip(drawn.x, drawn.y, strict=True):
            alone, report = step(alone, Labelled(x, y))
            losses.append(report.loss)
    assert_close(of_seed(state, 1), alone)
    np.testing.assert_allclose(history.reports.loss[1], losses, rtol=1e-5)


def test_every_seed_starts_from_its_own_network(program):
    _, program = program
    for index, seed in enumerate(SEEDS):
        _, alone = train_state(Tiny(nnx.Rngs(random_key(seed))), OPTIMIZER)
        assert_close(of_seed(program.initial.params, index), alone.params, 0.0)


def test_the_history_has_every_step_of_every_seed(program, fitted):
    state, history, _ = fitted
    steps = EPOCHS * (14 // BATCH)
    assert history.steps_per_epoch == 3
    assert history.reports.loss.shape == (2, steps)
    assert history.reports.figures["accuracy"].shape == (2, steps)
    assert {k: v.shape for k, v in history.reports.watched.items()} == {
        "norm": (2, steps),
        "std": (2, steps),
    }
    assert all(isinstance(a, np.ndarray) for a in jax.tree.leaves(history.reports))
    np.testing.assert_array_equal(state.step, [steps, steps])
    assert {name: figure.shape for name, figure in history.figures.items()} == {
        f"{part}_{figure}": (2, EPOCHS)
        for part in ("train", "test")
        for figure in ("loss", "accuracy")
    }


def test_figures_are_the_evaluation_of_the_state_after_their_epoch(program, fitted):
    state, history, seen = fitted
    assert [number for number, _ in seen] == [1, 2]
    figures = program[1].evaluate(state, examples(5, 1))
    for name, values in figures.items():
        np.testing.assert_array_equal(history.figures[f"test_{name}"][:, -1], values)
        for number, at_epoch in seen:
            np.testing.assert_array_equal(
                history.figures[f"test_{name}"][:, number - 1], at_epoch[f"test_{name}"]
            )


def test_the_data_seed_decides_the_order():
    batches = shuffled(DATA, BATCH)
    first, again, other = (batches(random_key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)
    # Every example occurs at most once, with its own label.
    where = {x.tobytes(): row for row, x in enumerate(np.asarray(DATA.x))}
    examples = np.asarray(first.x).reshape(-1, *DATA.x.shape[1:])
    rows = [where[x.tobytes()] for x in examples]
    assert len(rows) == len(set(rows)) == 12
    np.testing.assert_array_equal(np.ravel(first.y), np.asarray(DATA.y)[rows])


def test_generated_batches_are_new_in_each_epoch_and_divided_into_steps():
    def make(key, count):
        x = jax.random.normal(key, (count, 4))
        return Labelled(x, jnp.argmax(x[:, :3], axis=1))

    batches = generated(make, steps=3, batch_size=2)
    rows = batches(jax.random.key(5))
    expected = make(jax.random.key(5), 6)
    np.testing.assert_array_equal(rows.x.reshape(6, 4), expected.x)
    np.testing.assert_array_equal(rows.y[1], expected.y[2:4])

    _, history = fit(compiled("map", (0,), batches), 2, {})
    assert history.reports.loss.shape == (1, 6)
    assert history.figures == {}
    assert len(np.unique(history.reports.loss)) == 6


def test_arguments_are_checked_before_anything_is_compiled(program):
    with pytest.raises(ValueError, match="`over_seeds` is 'pmap'; wanted 'map' or"):
        compiled("pmap")
    with pytest.raises(ValueError, match="`seeds` is empty; wanted at least one"):
        compiled("map", ())
    with pytest.raises(ValueError, match="`epochs` is 0; wanted 1 or more"):
        fit(program[1], 0, {})
    with pytest.raises(ValueError, match="`batch_size` is 15; wanted 1 to"):
        compiled("map", batches=shuffled(DATA, 15))
