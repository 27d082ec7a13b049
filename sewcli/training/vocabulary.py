"""The vocabulary files of a CTC model, in the layout of Wav2Vec2CTCTokenizer."""

from __future__ import annotations

import json
from pathlib import Path

#: the vocabulary of the published English SEW checkpoints: `<pad>` is the CTC blank, `|` ends a word
ENGLISH = ["<pad>", "<s>", "</s>", "<unk>", *"|ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
BLANK = 0
SPECIAL = ("<s>", "</s>", "<unk>")
DELIMITER = "|"


def write_vocabulary(directory: Path, tokens: list[str]) -> None:
    """Write vocab.json and tokenizer_config.json for `tokens`, whose place is their id."""
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}) + "\n")
    config = {
        "tokenizer_class": "Wav2Vec2CTCTokenizer",
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "word_delimiter_token": DELIMITER,
        "do_lower_case": False,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def normalize(text: str) -> str:
    """A transcript as the vocabulary spells it: upper case, single spaces; nothing else is changed."""
    return " ".join(text.upper().split())


def encode(text: str, tokens: list[str]) -> list[int]:
    """Ids of a transcript, words joined by the delimiter.

    Raises:
        KeyError: a character the vocabulary cannot spell.
    """
    ids = {token: i for i, token in enumerate(tokens)}
    return [ids[character] for character in DELIMITER.join(text.split())]
