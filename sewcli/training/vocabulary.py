"""The vocabulary a CTC model is trained with, and how transcripts are brought to its spelling."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sewcli.decoding.vocabulary import APOSTROPHE, Vocabulary, load_vocabulary, without_marks
from sewcli.errors import UsageError
from sewcli.json_files import read_object

#: the vocabulary of the published English SEW checkpoints: `<pad>` is the CTC blank, `|` ends a word
ENGLISH = ["<pad>", "<s>", "</s>", "<unk>", *"|ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
SPECIAL = ("<s>", "</s>", "<unk>")
BLANK, DELIMITER = "<pad>", "|"
TOKENIZER_FILES = ("vocab.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Speller:
    """Transcripts as sequences of the ids of a vocabulary.

    Attributes:
        vocabulary: whose tokens are single characters, a blank and a word delimiter.
        remove_punctuation: see `normalize`.
    """

    vocabulary: Vocabulary
    remove_punctuation: bool = False

    def normalize(self, text: str) -> str:
        """The text in the letter case of the vocabulary, with single spaces; the rest as it is.

        Where punctuation is removed, marks that the vocabulary lacks become spaces, and apostrophes that it
        lacks, or that stand at an end of a word, nothing.
        """
        text = self.vocabulary.fold(unicodedata.normalize("NFC", text))
        if self.remove_punctuation:
            text = without_marks(text, set(self.vocabulary.text_tokens))
        return " ".join(text.split())

    def encode(self, text: str) -> list[int]:
        """Ids of a normalised text (ValueError names the characters the vocabulary cannot spell)."""
        return self.vocabulary.encode(text)


def english_vocabulary() -> Vocabulary:
    """The vocabulary of the published English checkpoints."""
    return _vocabulary(ENGLISH)


def build_vocabulary(texts: Iterable[str], *, remove_punctuation: bool = False) -> Vocabulary:
    """The special tokens and every character of the texts, in the order of the code points.

    Upper and lower case stay as the texts have them.

    Args:
        texts: of training.
        remove_punctuation: without their marks but the apostrophe.

    Raises:
        UsageError: the texts hold no character, or one that stands for a special token.
    """
    composed = (unicodedata.normalize("NFC", text) for text in texts)
    if remove_punctuation:
        composed = (without_marks(text, {APOSTROPHE}) for text in composed)
    characters = sorted({character for text in composed for character in text if not character.isspace()})
    if not characters:
        raise UsageError("no vocabulary can be built: the training texts are empty")
    if DELIMITER in characters:
        raise UsageError(
            f"the training texts hold {DELIMITER!r}, which stands for the space between words",
            hint="remove it from the texts, or give a vocab.json",
        )
    return _vocabulary([BLANK, *SPECIAL, DELIMITER, *characters])


def read_vocabulary(file: Path) -> Vocabulary:
    """The vocabulary of a vocab.json, whose directory may hold the tokenizer's other files.

    Raises:
        UsageError: the file is not there, or has another name.
        ModelError: it cannot be used.
    """
    if file.name != "vocab.json" and file.exists():
        raise UsageError(
            f"vocabulary: {file} has to be named vocab.json",
            hint="copy it to a directory of its own: the tokenizer's other files may lie beside it",
        )
    if not file.exists():
        raise UsageError(
            f"vocabulary: there is no {file}",
            hint='use "auto", "english", "build" or the path of a vocab.json',
        )
    try:
        columns = len(read_object(file))
    except (OSError, ValueError):
        columns = 0  # whose error `load_vocabulary` words
    return load_vocabulary(file.parent, columns)


def write_vocabulary(directory: Path, tokens: Sequence[str]) -> None:
    """Write vocab.json and tokenizer_config.json for `tokens`, whose place is their id.

    The layout is that of Wav2Vec2CTCTokenizer; the special tokens have the names used here.
    """
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}) + "\n")
    _write_tokenizer_config(directory, BLANK, DELIMITER, {})


def write_tokenizer_config(directory: Path, vocabulary: Vocabulary, names: Mapping[str, str]) -> None:
    """Write tokenizer_config.json beside a vocab.json that has none, for Wav2Vec2CTCTokenizer.

    Args:
        directory: of both.
        vocabulary: of the vocab.json.
        names: of special tokens, by what they are: see `special_tokens`.
    """
    delimiter = None if vocabulary.delimiter is None else vocabulary.tokens[vocabulary.delimiter]
    _write_tokenizer_config(directory, vocabulary.tokens[vocabulary.blank], delimiter, names)


def _write_tokenizer_config(
    directory: Path, blank: str, delimiter: str | None, names: Mapping[str, str]
) -> None:
    config = {
        "tokenizer_class": "Wav2Vec2CTCTokenizer",
        "pad_token": blank,
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[1],
        "unk_token": SPECIAL[2],
        "word_delimiter_token": delimiter,
        "do_lower_case": False,
        **names,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def _vocabulary(tokens: list[str]) -> Vocabulary:
    special = frozenset(tokens.index(token) for token in SPECIAL)
    return Vocabulary(tuple(tokens), tokens.index(BLANK), tokens.index(DELIMITER), special)
