"""The README's code runs unchanged, and prints what the README says."""

import pathlib
import re


README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_code_prints_what_the_readme_shows(capsys):
    text = README.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shown = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == len(shown) == 2
    names: dict = {}
    for block, expected in zip(blocks, shown, strict=True):
        exec(compile(block, str(README), "exec"), names)
        printed = " ".join(capsys.readouterr().out.split())
        # Other machines and versions may round the last digits otherwise.
        rounded = lambda text: re.sub(r"\d+", "0", " ".join(text.split()))
        for part in expected.split("[...]"):
            assert rounded(part) in rounded(printed)


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    for target in re.findall(r"\]\((?!http)(.*?)\)", text):
        assert (README.parent / target).is_file(), target
