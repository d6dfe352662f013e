"""The README's code runs unchanged, and its figures are those of the kept runs."""

import json
import pathlib
import re


README = pathlib.Path(__file__).parents[1] / "README.md"
RUNS = README.parent / "notebooks" / "evidence"


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
        name, _, place = target.partition("#")
        assert (README.parent / name).is_file(), target
        heading = f"\n## {place.replace('-', ' ')}\n"
        assert not place or heading in (README.parent / name).read_text().lower()


def test_the_intervals_in_the_readme_are_those_of_the_kept_runs():
    runs = [json.loads(path.read_text()) for path in RUNS.glob("*.json")]
    said = [each["sentence"] for run in runs for each in run["verdicts"]]
    number = r"(-?\d[\d.]*)"
    interval = rf"{number}(?: %)? \({number} to {number}\)"
    quoted = re.findall(interval, README.read_text())
    assert len(quoted) >= 3
    for value, low, high in quoted:
        words = f"95 % interval {low} to {high}, "
        assert any(value in text and words in text for text in said), words
