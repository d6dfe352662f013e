"""What a trained network translates: scores beside the floors, and exhibits."""

import collections
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxnets.runs.exhibits import Exhibit, Matrix, Text
from jaxnets.tasks.decoder import Contrast, attention_weights
from jaxnets.tasks.task import Outcome
from jaxnets.tasks.translation.generated import alignment, numbers, pair
from jaxnets.tasks.translation.network import Translator, translated
from jaxnets.tasks.translation.samples import BEAMS
from jaxnets.tasks.translation.sentences import Corpus, Pair


# Sentences that are shown, and groups of the test sentences by length.
SHOWN, GROUPS = 8, 4
Score = Callable[[Sequence[str], Sequence[str]], float]


def outcome(corpus: Corpus, model: Contrast, folder: Path) -> Outcome:
    """Translate the test sentences, and score and show what comes out."""
    name, score = ("bleu", bleu) if model.without is None else ("exact", exact)
    sources, references = zip(*corpus.test, strict=True)
    greedy = translations(corpus, model.attentive, sources, beams=1)
    searched = translations(corpus, model.attentive, sources, beams=BEAMS)
    frequent = collections.Counter(target for _, target in corpus.train)
    floor = [frequent.most_common(1)[0][0]] * len(sources)
    metrics = {
        f"test_{name}_greedy": score(greedy, references),
        f"test_{name}_beam_{BEAMS}": score(searched, references),
        f"floor_{name}_copy": score(sources, references),
        f"floor_{name}_most_frequent": score(floor, references),
    }
    by_network = {"with attention": greedy}
    if model.without is not None:
        found = translations(corpus, model.without, sources, beams=1)
        by_network["without attention"] = found
        metrics[f"test_{name}_without_attention"] = score(found, references)
        metrics |= aligned_shares(corpus, model.attentive)
    exhibits: list[Exhibit] = [
        attention_matrix(corpus, model.attentive, corpus.test, searched),
        _table(corpus.test, searched),
        _by_length(corpus.test, by_network, name, score),
    ]
    return Outcome(metrics, exhibits)


def translations(
    corpus: Corpus, network: Translator, sources: Sequence[str], *, beams: int
) -> list[str]:
    """Return the translation of each sentence that a beam search finds the best."""
    source, target = corpus.vocabularies
    rows = [source.encode(sentence) for sentence in sources]
    return [target.decode(found[0]) for found in translated(network, rows, beams=beams)]


def exact(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Return the share of translations that are the reference, letter by letter."""
    return float(np.mean([a == b for a, b in zip(outputs, references, strict=True)]))


def bleu(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Return the BLEU of sentences in lower case, from 0 to 100.

    Source: Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine
    Translation"; Post 2018, "A Call for Clarity in Reporting BLEU Scores", which is
    sacreBLEU; its tokenisation is 13a.
    """
    import sacrebleu

    return sacrebleu.corpus_bleu(list(outputs), [list(references)]).score


def aligned_shares(corpus: Corpus, network: Translator) -> dict[str, float]:
    """Return how often the network looks most at the German word it translates.

    It counts for each English word, given the right ones before, whether the largest
    weight is at a letter of the German word. Beside it stands the mean share of the
    letters that this word has, which equal weights would give.
    """
    weights = np.asarray(attention_weights(network, corpus.encoded(corpus.test)))
    hits, shares = [], []
    for rows, number in zip(weights, numbers()[2], strict=True):
        length = len(pair(number)[0])
        for row, letters in zip(rows, alignment(number), strict=False):
            hits.append(int(row.argmax()) in letters)
            shares.append(len(letters) / length)
    return {
        "attention_on_its_word": float(np.mean(hits)),
        "floor_attention_on_its_word": float(np.mean(shares)),
    }


def attention_matrix(
    corpus: Corpus, network: Translator, pairs: Sequence[Pair], outputs: Sequence[str]
) -> Matrix:
    """Return where the network looks as it translates a sentence of middle length."""
    lengths = [len(source) for source, _ in pairs]
    row = int(np.argsort(lengths, kind="stable")[len(lengths) // 2])
    batch = corpus.encoded([(pairs[row][0], outputs[row])])
    weights = np.asarray(attention_weights(network, batch))[0]
    source, target = corpus.vocabularies
    return Matrix(
        "Where the network looks",
        "Each row is a token that it writes, and the columns are the tokens it reads; "
        "the last row is the end of the sentence.",
        [*target.pieces(batch.targets[0, :-1].tolist()), "end"],
        source.pieces(batch.source[0].tolist()),
        weights.tolist(),
        "weight",
    )


def _table(pairs: Sequence[Pair], outputs: Sequence[str]) -> Text:
    """Return some sentences with their translations, those that differ first."""
    rows = range(len(pairs))
    shown = sorted(rows, key=lambda row: outputs[row] == pairs[row][1])[:SHOWN]
    blocks = [
        f"source:    {pairs[row][0]}\nreference: {pairs[row][1]}\n"
        f"output:    {outputs[row]}"
        for row in shown
    ]
    return Text(
        "Translations of test sentences",
        f"A beam search with {BEAMS} beams; outputs that differ from the reference "
        "come first.",
        "\n\n".join(blocks),
    )


def _by_length(
    pairs: Sequence[Pair], outputs: dict[str, list[str]], name: str, score: Score
) -> Text:
    """Return the scores of sentences of similar length, without a beam search."""
    lengths = np.array([len(source) for source, _ in pairs])
    groups = np.array_split(np.argsort(lengths, kind="stable"), GROUPS)
    width = max(map(len, outputs))
    line = lambda first, cells: "  ".join(
        [first.ljust(12), *(cell.rjust(width) for cell in cells)]
    )
    lines = [line("characters", outputs)]
    for rows in groups:
        part = lambda texts, rows=rows: [texts[row] for row in rows]
        references = part([target for _, target in pairs])
        scores = (score(part(texts), references) for texts in outputs.values())
        span = f"{lengths[rows[0]]} to {lengths[rows[-1]]}"
        lines.append(line(span, (f"{value:.3g}" for value in scores)))
    what = "BLEU" if name == "bleu" else "The share of exact translations"
    return Text(
        "Against the length of the sentence",
        f"{what} of the test sentences in {GROUPS} groups by length, greedy.",
        "\n".join(lines),
    )
