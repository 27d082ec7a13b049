"""The vocabulary of a CTC model, read from its tokenizer files."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Container
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sewcli.errors import ModelError
from sewcli.json_files import one_line, read_object

_log = logging.getLogger("sewcli")

#: what Wav2Vec2CTCTokenizer takes where its files do not say
_DEFAULTS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_DEFAULT_DELIMITER = "|"
APOSTROPHE = "'"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, and which of them are no text.

    Attributes:
        tokens: the tokens, in the order of the columns of the logits.
        blank: id of the CTC blank (the tokenizer's padding token).
        delimiter: id of the token between words, or None.
        special: ids that are never text (sentence marks, unknown, columns without a token).
    """

    tokens: tuple[str, ...]
    blank: int
    delimiter: int | None
    special: frozenset[int]

    @cached_property
    def columns(self) -> list[int]:
        """Ids that decoding may choose: the blank and all text."""
        return [i for i in range(len(self.tokens)) if i not in self.special]

    @cached_property
    def text_tokens(self) -> frozenset[str]:
        """The tokens that spell words."""
        return frozenset(self.tokens[i] for i in self.columns if i not in (self.blank, self.delimiter))

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Of the text tokens, and of the space between words."""
        ids = {token: i for i, token in enumerate(self.tokens) if token in self.text_tokens}
        return ids if self.delimiter is None else {**ids, " ": self.delimiter}

    @cached_property
    def _case(self) -> Literal["upper", "lower"] | None:
        """The one of its letters; None where it has both."""
        letters = [token for token in self.text_tokens if len(token) == 1 and token.isalpha()]
        if all(letter == letter.upper() for letter in letters):
            return "upper"
        return "lower" if all(letter == letter.lower() for letter in letters) else None

    def fold(self, text: str) -> str:
        """The text in the letter case of the vocabulary, as is where that holds both."""
        if self._case is None:
            return text
        return text.upper() if self._case == "upper" else text.lower()

    def spelled(self, text: str) -> str:
        """A text as the tokens spell it, as far as they can: its case, marks, apostrophes and spaces."""
        spelled = " ".join(self.fold(text).split())
        if not self._ids.keys() >= set(spelled):
            spelled = unicodedata.normalize("NFC", spelled)  # some systems write é as e and a mark
            if "\u2019" not in self._ids and APOSTROPHE in self._ids:
                spelled = spelled.replace("\u2019", APOSTROPHE)
        return spelled

    def encode(self, text: str) -> list[int]:
        """Ids of a text, its words joined by the delimiter; see `spelled`.

        Raises:
            ValueError: it cannot be spelled; the message names the characters.
        """
        try:
            return [self._ids[character] for character in self.spelled(text)]
        except KeyError:
            lacking = " ".join(map(repr, self.lacking(text)))
            raise ValueError(f"the vocabulary has no {lacking}") from None

    def lacking(self, text: str) -> list[str]:
        """The characters of a text that no token spells, in order."""
        return sorted(set(self.spelled(text)) - self._ids.keys())

    def log_posteriors(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-softmax over the columns decoding may choose: (T, V) -> (T, V), -inf elsewhere.

        Without the mask `<s>`, `</s>` and `<unk>` could be the best token of a frame and would
        have to be either printed or dropped; so they take no part.
        """
        masked = self._masked(logits)
        masked -= masked.max(axis=1, keepdims=True)
        normalised: NDArray[np.float32] = masked - np.log(np.exp(masked).sum(axis=1, keepdims=True))
        return normalised

    def best(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best token of each frame and its entry of `log_posteriors`: (T, V) -> (T,) each."""
        masked = self._masked(logits)
        tokens = masked.argmax(axis=1)
        masked -= np.take_along_axis(masked, tokens[:, None], axis=1)
        scores: NDArray[np.float32] = -np.log(np.exp(masked, out=masked).sum(axis=1))
        return tokens, scores

    def _masked(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        masked = logits.astype(np.float32, copy=True)
        if self.special:
            masked[:, sorted(self.special)] = -np.inf
        return masked


def load_vocabulary(directory: Path, columns: int) -> Vocabulary:
    """Read vocab.json and the tokenizer's other files.

    Args:
        directory: of the model.
        columns: of its logits (vocab_size); columns beyond the tokens are never chosen.

    Raises:
        ModelError: a file is missing or damaged, there is no blank, or tokens are beyond the logits.
    """
    ids: dict[str, Any] = _read(directory, "vocab.json", required=True)
    if ids and all(isinstance(value, dict) for value in ids.values()):
        raise ModelError(
            f"{directory}: its vocab.json holds one vocabulary for each of several languages (adapters)",
            hint="such models are not supported; use one with a single vocabulary",
            code="adapters",
        )
    added = _read(directory, "added_tokens.json")
    ids = {**ids, **added}
    tokenizer = _read(directory, "tokenizer_config.json")
    if "added_tokens_decoder" not in tokenizer:  # with it the library leaves the map unread
        tokenizer = {**tokenizer, **_read(directory, "special_tokens_map.json")}
    if not all(isinstance(index, int) for index in ids.values()):
        raise ModelError(f"{directory}: the ids in its vocab.json are not numbers", code="damaged_model")
    # the tokenizer adds its sentence marks behind the last token, and the head may not know of them
    ids = {token: index for token, index in ids.items() if token not in added or index < columns}
    by_id = {index: token for token, index in ids.items()}
    if len(by_id) != len(ids) or not by_id or min(by_id) < 0 or max(by_id) >= columns:
        raise ModelError(
            f"{directory}: vocab.json does not fit the model: {len(ids)} tokens with ids up to "
            f"{max(by_id, default=-1)}, logits of {columns} columns",
            code="damaged_model",
        )
    names = {role: _content(tokenizer.get(role), default, directory) for role, default in _DEFAULTS.items()}
    mark = tokenizer.get("word_delimiter_token", _DEFAULT_DELIMITER)
    delimiter = None if mark is None else ids.get(_content(mark, _DEFAULT_DELIMITER, directory))
    if delimiter is None:
        delimiter = ids.get(" ")  # words end there, whatever the tokenizer calls it
    between = tokenizer.get("replace_word_delimiter_char", " ")
    if between != " ":
        _log.warning("%s: words are joined by spaces, not by %r as its tokenizer does", directory, between)
    blank = ids.get(names["pad_token"])
    if blank is None:
        raise ModelError(
            f"{directory}: the tokenizer's padding token {names['pad_token']!r}, the CTC blank, "
            "is not in vocab.json",
            code="damaged_model",
        )
    special = {ids[name] for role, name in names.items() if role != "pad_token" and name in ids}
    special |= set(range(columns)) - by_id.keys()
    tokens = tuple(one_line(by_id.get(index, "")) for index in range(columns))
    vocabulary = Vocabulary(tokens, blank, delimiter, frozenset(special - {blank}))
    return _lowered(vocabulary) if tokenizer.get("do_lower_case") else vocabulary


def _lowered(vocabulary: Vocabulary) -> Vocabulary:
    """In lower case, as a tokenizer with `do_lower_case` writes text; as it is where it has both cases."""
    text = vocabulary.text_tokens
    lower = {token.lower() for token in text}
    if len(lower) < len(text):
        return vocabulary
    tokens = tuple(token.lower() if token in text else token for token in vocabulary.tokens)
    return replace(vocabulary, tokens=tokens)


def special_tokens(directory: Path) -> dict[str, str]:
    """Those that special_tokens_map.json names, by what they are: "pad_token" and so on (ModelError)."""
    named = _read(directory, "special_tokens_map.json")
    return {
        role: _content(named[role], default, directory)
        for role, default in _DEFAULTS.items()
        if role in named
    }


def _content(token: Any, default: str, directory: Path) -> str:
    """The text of a token, which tokenizer files hold as a string or an object; null is the default."""
    if isinstance(token, dict):
        token = token.get("content", token)
    if token is None:
        return default
    if not isinstance(token, str):
        raise ModelError(f"{directory}: its tokenizer files name {token!r} as a token", code="damaged_model")
    return token


def _read(directory: Path, name: str, *, required: bool = False) -> dict[str, Any]:
    file = directory / name
    if not file.exists():
        if not required:
            return {}
        raise ModelError(
            f"{directory} has no {name}: its logits cannot be read as text",
            hint="copy the tokenizer files of the checkpoint beside config.json",
            code="no_vocabulary",
        )
    try:
        return read_object(file)
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}", code="damaged_model") from error


def without_marks(text: str, known: Container[str]) -> str:
    """The text with a space for each character of the Unicode classes P and S that is not known.

    The typographic apostrophe becomes the plain one; one that does not stand between letters or digits, as a
    quotation mark, or is not known, goes without a trace.
    """
    text = _without_quotes(text.replace("\u2019", APOSTROPHE))
    if APOSTROPHE not in known:
        text = text.replace(APOSTROPHE, "")
    return "".join(
        " " if unicodedata.category(mark)[0] in "PS" and mark not in known else mark for mark in text
    )


def _without_quotes(text: str) -> str:
    """The text without apostrophes at the ends of words."""
    of_word = [False, *(unicodedata.category(character)[0] in "LMN" for character in text), False]
    return "".join(
        character
        for place, character in enumerate(text)
        if character != APOSTROPHE or (of_word[place] and of_word[place + 2])
    )
