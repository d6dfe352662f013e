"""`jaxnets check`: a file of the user's to verdicts, a page and an exit code."""

import json
from pathlib import Path

import pytest

from jaxnets.cli import main
from jaxnets.gradflow.evidence.user_file import diagnose_file


EXAMPLES = Path(__file__).parents[2] / "notebooks" / "examples"

MODEL = """
import jax.numpy as jnp, optax
from flax import nnx

optimizer = optax.sgd(0.1)

class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.used = nnx.Linear(2, 2, rngs=rngs)
        self.forgotten = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        return self.used(x)

def make(rngs):
    print("made")
    return Net(rngs=rngs)

def loss(model, x, y):
    return jnp.mean((model(x) - y) ** 2)

def batch(key):
    return jnp.ones((3, 2)), jnp.zeros((3, 2))
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(MODEL)
    return path


def test_a_fault_is_named_and_drawn_and_is_the_exit_code(file, tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["check", str(file), "--seeds", "1", "--steps", "2", "--out", str(folder)]
    assert main(words) == 1
    said = capsys.readouterr().out
    # The last line has the path of the page, which may be long.
    assert max(map(len, said.splitlines()[:-1])) <= 80
    assert all(line == line.rstrip() for line in said.splitlines())
    assert "fault: detached" in said and "forgotten" in said
    assert said.splitlines()[-1] == f"Report: {folder / 'report.html'}"
    page = (folder / "report.html").read_text()
    assert "Your model" in page and "forgotten/kernel" in page
    assert main(words) == 2
    assert "already holds a run. Choose another folder.\n" in capsys.readouterr().err

    assert main(["check", str(file), "--seeds", "1", "--json"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["ok"] is False and "made" in said.err
    assert "detached" in {verdict["kind"] for verdict in found["verdicts"]}


@pytest.mark.parametrize(("name", "code"), [("mlp", 0), ("lstm", 0), ("broken", 1)])
def test_the_examples(name, code, capsys):
    assert (
        main(["check", str(EXAMPLES / f"{name}.py"), "--seeds", "1", "--json"]) == code
    )
    kinds = {v["kind"] for v in json.loads(capsys.readouterr().out)["verdicts"]}
    assert ("vanishing" in kinds) == (name != "mlp")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def batch", "def other", "has no function `batch`; wanted `def batch(key)"),
        ("optimizer =", "other =", "has no `optimizer`, so 2 updates cannot be made"),
        ("return Net(rngs=rngs)", "return 3", "returned int; wanted an nnx.Module"),
        ("import jax", "import nothing_such, jax", "No module named 'nothing_such'"),
        ("def loss(", "def loss(:", "SyntaxError"),
        ("import jax", "raise SystemExit\nimport jax", "ended the program"),
        (
            "self.used(x)",
            "self.used(x) @ x",
            "in __call__\n    return self.used(x) @ x",
        ),
        ("def batch(key)", "def batch()", "Write `def batch(key): ...`"),
        ("jnp.mean(", "(", "`loss` returned an array of shape (3, 2)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(old, new, words, file, capsys):
    file.write_text(MODEL.replace(old, new))
    assert main(["check", str(file), "--steps", "2", "--json"]) == 2
    said = capsys.readouterr()
    assert words in said.err and not said.out
    assert said.err.splitlines()[-1].startswith("jaxnets: ")


@pytest.mark.parametrize(
    ("parameters", "passed"),
    [
        ("model, x, y", "x, y"),
        ("model, x, y=None", "x, y"),
        ("model, *args", "*args"),
        ("model, batch", "*batch"),
        ("model, batch, *, scale=1", "*batch"),
    ],
)
def test_a_tuple_is_passed_whole_only_if_it_must_be(parameters, passed, tmp_path):
    new = (
        f"def loss({parameters}): return mse(model, {passed})\n\ndef mse(model, x, y):"
    )
    path = tmp_path / "net.py"
    path.write_text(MODEL.replace("def loss(model, x, y):", new))
    kinds = {verdict.kind for verdict in diagnose_file(path, seeds=1).verdicts}
    assert "detached" in kinds


def test_wrong_arguments(file, capsys):
    for words, wanted in (
        (["no-such.py"], "jaxnets: There is no file no-such.py"),
        ([str(file), "--seeds", "0"], "--seeds is 0; wanted at least 1"),
        ([str(file), "--steps", "-1"], "--steps is -1; wanted at least 0"),
        ([], "FILE"),
    ):
        assert main(["check", *words]) == 2
        assert wanted in capsys.readouterr().err
