"""Error messages of the training: each names the argument and what is wanted."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets import training
from jaxnets.data import Labelled
from jaxnets.studies import default_dataset


# The functions that are called are unwrapped; the fixture is for those that they call.
pytestmark = pytest.mark.usefixtures("unchecked_annotations")

# Without the type checks of jaxtyping, which tests enable but users may not.
T = {name: inspect.unwrap(getattr(training, name)) for name in training.__all__}
classification, regression, shuffled = (
    T[name] for name in ("classification", "regression", "shuffled")
)

KEY = jax.random.key(0)
OPTIMIZER = optax.sgd(0.1)
MODEL = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
GRAPHDEF, STATE = training.train_state(MODEL, OPTIMIZER)
LOGITS, LABELS = jnp.ones((4, 3)), np.zeros(4, int)
DATA = Labelled(jnp.ones((4, 2)), jnp.ones((4, 1)))
same = lambda x: x


def step(loss: Any = regression, batch: Any = DATA, state: Any = STATE, **options):
    made = T["make_step"](GRAPHDEF, loss, OPTIMIZER, **options)
    return inspect.unwrap(made)(state, batch)


def compiled(**changes):
    defaults = {
        "make_model": lambda rngs: nnx.Linear(2, 1, rngs=rngs),
        "loss": training.regression,
        "optimizer": OPTIMIZER,
        "batches": shuffled(DATA, 2),
        "seeds": (0,),
    }
    return T["compile_program"](**defaults | changes)


def evaluated(loss):
    return T["make_evaluation"](GRAPHDEF, loss)(STATE, DATA)


def labelled(y, logits=LOGITS):
    return classification(same, Labelled(logits, y))


def draw(make):
    return T["generated"](make, 2, 3)(KEY)


def fit(program=None, epochs=1, evaluation=(), **options):
    return T["fit"](program, epochs, evaluation, **options)


# The call, the type of its error, and what the message says.
CALLS = [
    (lambda: labelled(np.eye(4, 3)), ValueError, "`batch.y` has the .* one-hot"),
    (lambda: labelled(LABELS[:3]), ValueError, r"`batch.y` has shape \(3,\) for log"),
    (lambda: labelled(np.ones(4)), TypeError, "`batch.y` has dtype float32; wanted on"),
    (lambda: labelled(LABELS > 0), TypeError, "`batch.y` has dtype bool; wanted one"),
    (
        lambda: labelled(np.array(["a"])),
        TypeError,
        "`batch.y` is an array of dtype <U1",
    ),
    (lambda: labelled(LABELS[:0], LOGITS[:0]), ValueError, "`batch.y` .* at least one"),
    (lambda: labelled(LABELS, LOGITS > 0), TypeError, "`model` returned .* dtype bool"),
    (
        lambda: classification("relu", DATA),
        TypeError,
        "`model` is 'relu'; wanted a mod",
    ),
    (lambda: classification(same, tuple(DATA)), TypeError, "`batch` is of type tuple"),
    (
        lambda: regression(same, None),
        TypeError,
        "`batch` is of type NoneType; .*Labelled",
    ),
    (
        lambda: regression(lambda x: None, DATA),
        TypeError,
        "`model` returned .* NoneType",
    ),
    (
        lambda: step(batch=tuple(DATA)),
        TypeError,
        "`batch` is of type tuple; .*Labelled",
    ),
    (
        lambda: step(state=(GRAPHDEF, STATE)),
        TypeError,
        "`state` is of type tuple; want",
    ),
    (lambda: step(None), TypeError, "`loss` is None; wanted a function `loss"),
    (
        lambda: step(lambda m, b: m(b.x).sum()),
        TypeError,
        "`loss` returned .*; wanted the",
    ),
    (lambda: step(lambda m, b: (m(b.x), {})), ValueError, r"`loss` .*shape \(4, 1\)"),
    (lambda: step(lambda m, b: (jnp.int32(1), {})), TypeError, "`loss` .* dtype int32"),
    (
        lambda: step(lambda m, b: (1.0, 2.0)),
        TypeError,
        "`loss` returned figures of type",
    ),
    (lambda: evaluated(lambda m, b: (1.0, {"loss": 2.0})), ValueError, "named 'loss'"),
    (lambda: evaluated(3), TypeError, "`loss` is 3; wanted a function"),
    (lambda: step(watch="h"), TypeError, "`watch` is 'h'; wanted None or a function"),
    (lambda: step(schedule=64), TypeError, r"`schedule` is 64; .* such as `every\(64"),
    (
        lambda: step(watch=lambda taps, responses: 0, schedule=lambda step: step),
        TypeError,
        r"`schedule\(step\)` is an array of dtype int32; wanted one boolean",
    ),
    (
        lambda: T["train_state"](nnx.Linear, OPTIMIZER),
        TypeError,
        "`model` is a class; w",
    ),
    (
        lambda: T["train_state"](MODEL, optax.sgd),
        TypeError,
        "`optimizer` is of type fun",
    ),
    (
        lambda: T["make_objective"](MODEL, same),
        TypeError,
        "`graphdef` is of type Linear",
    ),
    (
        lambda: shuffled(Labelled(jnp.ones((4, 2)), jnp.ones(9)), 2),
        ValueError,
        r"`data` has the shapes .*\(9,\).*; wanted .* one row for each example",
    ),
    (lambda: shuffled((1, 2), 2), TypeError, "`data` is of type tuple; wanted inputs"),
    (
        lambda: shuffled(DATA, 5),
        ValueError,
        "`batch_size` is 5; wanted 1 to 4: `data` has",
    ),
    (lambda: shuffled(DATA, 2.0), TypeError, "`batch_size` is 2.0; wanted an int"),
    (lambda: inspect.unwrap(shuffled(DATA, 2))(0), TypeError, "`key` is of type int; "),
    (lambda: T["generated"](3, 2, 3), TypeError, "`make` is 3; wanted a function"),
    (lambda: T["generated"](same, 0, 3), ValueError, "`steps` is 0; wanted 1 or more"),
    (
        lambda: draw(lambda k, n: jnp.ones(5)),
        ValueError,
        "`make` returned 5 examples; w",
    ),
    (
        lambda: draw(lambda k, n: ["a"] * n),
        TypeError,
        "What `make` returned has a leaf",
    ),
    (
        lambda: draw(lambda k, n: None),
        ValueError,
        "What `make` returned has the shapes",
    ),
    (
        lambda: T["random_key"](2**80),
        ValueError,
        "`seed` is 12.*; wanted 0 to 4294967295",
    ),
    # The key of seed 0.
    (lambda: T["random_key"](2**32), ValueError, "`seed` is 4294967296; wanted 0 to"),
    (lambda: T["random_key"](-1), ValueError, "`seed` is -1; wanted 0 to"),
    (lambda: T["random_key"](1.5), TypeError, "`seed` is 1.5; wanted an int"),
    (
        lambda: compiled(make_model=MODEL),
        TypeError,
        "`make_model` is a network; wanted",
    ),
    (
        lambda: compiled(make_model=lambda rngs: 3),
        TypeError,
        r"`make_model\(rngs\)` is of",
    ),
    (
        lambda: compiled(seeds="012"),
        TypeError,
        "`seeds` is '012'; wanted a sequence of",
    ),
    (
        lambda: compiled(seeds=np.array([])),
        ValueError,
        "`seeds` is empty; wanted at least",
    ),
    (
        lambda: compiled(seeds=[0, 1.5]),
        TypeError,
        r"`seeds\[1\]` is 1.5; wanted an int",
    ),
    (
        lambda: compiled(batches=DATA),
        TypeError,
        "`batches` is of type Labelled; wanted a",
    ),
    (
        lambda: compiled(batches=lambda key: 3.0),
        TypeError,
        "What `batches` returned has a",
    ),
    (
        lambda: compiled(optimizer=0.1),
        TypeError,
        "`optimizer` is of type float; wanted",
    ),
    (
        lambda: fit(3),
        TypeError,
        "`program` is of type int; wanted what `compile_program`",
    ),
    (
        lambda: T["first_nonfinite_layer"](3),
        TypeError,
        "`objective` is 3; wanted a func",
    ),
    (
        lambda: default_dataset("huge"),
        ValueError,
        "`scale` is 'huge'; wanted one of smoke",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_arguments_of_fit():
    program = compiled()
    for arguments, error, message in [
        ({"epochs": 2.5}, TypeError, "`epochs` is 2.5; wanted an int"),
        (
            {"evaluation": DATA},
            TypeError,
            "`evaluation` is of type Labelled; wanted a d",
        ),
        ({"data_seed": -1}, ValueError, "`data_seed` is -1; wanted 0 to"),
        ({"on_epoch": 3}, TypeError, "`on_epoch` is 3; wanted None or a function"),
    ]:
        with pytest.raises(error, match=message):
            fit(program, **{"evaluation": {}} | arguments)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8])
def test_a_label_that_is_no_class_gives_a_loss_that_is_not_a_number(dtype):
    logits = np.arange(3.0 * 200, dtype=np.float32).reshape(3, 200) % 7
    right = np.array([0, 1, 100], dtype)
    expected = np.mean(np.log(np.exp(logits).sum(-1)) - logits[range(3), right])
    found = classification(same, Labelled(logits, right))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    wrong = np.array([0, 1, np.iinfo(dtype).min or 255], dtype)
    assert np.isnan(classification(same, Labelled(logits, wrong))[0])
