"""Vocabularies: texts to tokens and back, by listed pieces or by subwords."""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxnets.tasks.decoder import END


SUBWORDS = 4000
MISSING = (
    "Sentences are cut into subwords by SentencePiece and scored by sacreBLEU; install "
    "both with `pip install 'jaxnets[translation]'`."
)


class Pieces:
    """A token for each piece of text of a list; token 0 is `END`.

    Args:
        texts: The pieces, such as letters or words with the blank before them.
        language: Name of the language, for errors.
    """

    def __init__(self, texts: Sequence[str], language: str):
        self.size = len(texts) + 1
        self._texts = list(texts)
        self._language = language
        self._tokens = {text: token for token, text in enumerate(texts, END + 1)}
        longest_first = sorted(texts, key=len, reverse=True)
        self._piece = re.compile("|".join(map(re.escape, longest_first)))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, the longest piece first.

        Raises:
            ValueError: If there is no piece for a part of the text.
        """
        tokens, place = [], 0
        while place < len(text):
            found = self._piece.match(text, place)
            if found is None:
                raise ValueError(
                    f"the text goes on with {text[place : place + 20]!r}; wanted a "
                    f"number in {self._language} words."
                )
            tokens.append(self._tokens[found.group()])
            place = found.end()
        return tokens

    def pieces(self, tokens: Iterable[int]) -> list[str]:
        """Return the texts of tokens, one for each."""
        return [self._texts[token - 1] for token in tokens]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.pieces(tokens))

    def about(self) -> dict[str, Any]:
        """Return JSON values from which `vocabulary_of` makes the vocabulary again."""
        return {"pieces": self._texts, "language": self._language}


class Subwords:
    """Frequent parts of words, by byte pair encoding; token 0 is `END`.

    Args:
        model: A model of SentencePiece.

    Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword
    Units"; Kudo and Richardson 2018, "SentencePiece".
    """

    def __init__(self, model: bytes):
        try:
            import sentencepiece
        except ImportError as error:
            raise ImportError(MISSING) from error
        self._model = model
        self._processor: Any = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(model)
        self.size = self._processor.vocab_size()

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> "Subwords":
        """Return the subwords of texts.

        Raises:
            ValueError: If they have no letters, or more letters than subwords.
            ImportError: If SentencePiece is missing.
        """
        try:
            import sentencepiece
        except ImportError as error:
            raise ImportError(MISSING) from error
        model = io.BytesIO()
        trainer: Any = sentencepiece.SentencePieceTrainer
        try:
            trainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="bpe",
                vocab_size=SUBWORDS,
                hard_vocab_limit=False,
                character_coverage=1.0,
                pad_id=-1,
                bos_id=-1,
                eos_id=END,
                unk_id=END + 1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(
                f"The sentences cannot be cut into {SUBWORDS} subwords: {error}. "
                "Are they in a language with an alphabet?"
            ) from error
        return cls(model.getvalue())

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text in lower case."""
        return self._processor.encode(text.lower())

    def pieces(self, tokens: Iterable[int]) -> list[str]:
        """Return the texts of tokens; those that begin a word have a mark before it."""
        return [self._processor.id_to_piece(int(token)) for token in tokens]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens."""
        return self._processor.decode([int(token) for token in tokens])

    def about(self) -> dict[str, Any]:
        """Return JSON values from which `vocabulary_of` makes the vocabulary again."""
        return {"subwords": base64.b64encode(self._model).decode()}


Vocabulary = Pieces | Subwords


def vocabulary_of(about: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary that its method `about` described.

    Raises:
        ValueError: If it does not describe a vocabulary.
        ImportError: If SentencePiece is needed and missing.

    Example:
        >>> about = Pieces(["one", "-one", "twenty"], "English").about()
        >>> vocabulary_of(about).encode("twenty-one")
        [3, 2]
    """
    try:
        if "subwords" in about:
            return Subwords(base64.b64decode(about["subwords"], validate=True))
        return Pieces(list(map(str, about["pieces"])), str(about["language"]))
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(
            f"The vocabulary of the checkpoint is damaged: {error!r}. Train anew."
        ) from error
