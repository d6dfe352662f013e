"""The README's code runs unchanged."""

import pathlib
import re


README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_code_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 7
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    probabilities = names["conv_net"](names["kernel"], names["w"], names["images"])
    assert probabilities.shape == (5, 10)
    assert (names["state"].h[2] == 0).all(), "a sequence of length 0 keeps its state"
    assert names["state_dict"]["weight_ih_l0"].shape == (32, 3)
    # Twelve layers and the sigmoids after them, the last of which is the output.
    assert len(names["diagnosis"].flows[0].taps) == 24
    printed = capsys.readouterr().out
    assert printed.startswith("Diagnosis(ok=False)\nfault: vanishing (my model, before")
    assert "On its way back the gradient shrinks by a factor of 0.2" in printed


def test_the_picture_of_the_report_is_there():
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text())
    assert (README.parent / picture).is_file()
