"""An n-gram language model as beam search asks for it: words of the vocabulary in, scores out.

KenLM reads the model, from ARPA (packed or not) or from its own binary format. The words it knows are
folded to the letter case of the vocabulary; KenLM is asked for them as it spells them, so that a model in
lower case serves a vocabulary in upper case and binaries need no conversion.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import math
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import UsageError
from sewcli.lm.arpa import check_head, is_arpa, is_binary, open_text, read_unigrams

_log = logging.getLogger("sewcli")

BUILTIN = "builtin"
#: English, upper case; sewcli/lm/README.md says what of and how it was made
BUILTIN_FILE = Path(__file__).resolve().parent.parent / "lm" / "english-3gram.arpa.gz"

#: what pyctcdecode takes for a letter sequence longer than usual, see `LanguageModel.score_partial_token`
_USUAL_LENGTH = 6
_LN_10 = math.log(10.0)


def require_kenlm() -> None:
    """Raise UsageError, with what to install, where kenlm is not."""
    if importlib.util.find_spec("kenlm") is None:
        if sys.version_info >= (3, 13):
            raise UsageError(
                "a language model needs kenlm, whose release does not compile for Python 3.13 or newer",
                hint="use Python 3.11 or 3.12",
            )
        raise UsageError(
            "a language model needs kenlm, which is not installed",
            hint="pip install 'sewcli[lm]'; it is compiled on the spot, with a C++ compiler",
        )


@dataclass(frozen=True)
class LanguageModelFile:
    """Which language model, found and looked at, but not loaded.

    Attributes:
        name: "builtin", or the path as it was given.
        file: where it lies.
        unigrams: a file with its words, one a line, or None where the model is ARPA and has them.
    """

    name: str
    file: Path
    unigrams: Path | None

    @classmethod
    def find(cls, name: str, unigrams: str | None) -> LanguageModelFile:
        """The file of `--lm`.

        Raises:
            UsageError: it is not there, or a binary without its words; kenlm is not installed.
        """
        require_kenlm()
        file = BUILTIN_FILE if name == BUILTIN else Path(name)
        words = None if unigrams is None else Path(unigrams)
        try:
            arpa = is_arpa(file)
        except FileNotFoundError as error:
            hint = "--lm takes builtin, an ARPA file (.gz or not) or a KenLM binary"
            raise UsageError(f"{error.filename}: there is no such file", hint=hint) from error
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"{file}: it cannot be read: {error}") from error
        if not arpa and not is_binary(file):
            raise UsageError(
                f"--lm {name}: neither an ARPA file nor a KenLM binary",
                hint=f"sew lm build {name} -o model.arpa.gz makes one of text",
            )
        try:
            if words is not None:
                words.open("rb").close()
        except OSError as error:
            reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise UsageError(
                f"--unigrams {words}: {reason}", hint="it takes a file with one word a line"
            ) from error
        if not arpa and words is None:
            raise UsageError(
                f"--lm {name}: a binary does not tell its words",
                hint="add --unigrams FILE with one word a line, or give the ARPA file it was made of",
            )
        return cls(name, file, words)

    def settings(self) -> dict[str, Any]:
        """What identifies the model on record: its name and a hash of its content."""
        digest = hashlib.blake2b(digest_size=10)
        for file in (self.file, *([self.unigrams] if self.unigrams else [])):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "blake2b").digest())
        return {"lm": self.name, "lm_hash": digest.hexdigest()}

    def load(
        self,
        vocabulary: Vocabulary,
        alpha: float,
        beta: float,
        unknown: float,
        preferred: Iterable[str] = (),
    ) -> LanguageModel:
        """The model for a vocabulary; see `LanguageModel`.

        Args:
            vocabulary: of the network.
            alpha, beta, unknown: see `LanguageModel`.
            preferred: hotwords and phrases.

        Raises:
            UsageError: KenLM cannot read it, or the vocabulary can spell none of its words.
        """
        files = [file for file in (self.file, self.unigrams) if file is not None]
        try:
            stamps = tuple((file, file.stat().st_mtime_ns) for file in files)
            model, spelling, prefixes = _load(self, vocabulary, stamps)
        except OSError as error:  # it was there before
            raise UsageError(f"--lm {self.name}: it cannot be read any more: {error}") from error
        own = frozenset(word for one in preferred for word in vocabulary.spelled(one).split())
        return LanguageModel(model, spelling, prefixes, alpha, beta, unknown, own)


class LanguageModel:
    """Scores words as beam search builds them; takes the place of pyctcdecode's own class.

    The score of a word is alpha * ln p(word | words before) + beta. Words that the model does not know get
    `unknown`, a logarithm to base 10, added to log10 p. While a word is spelled that can no longer become a
    known one, `unknown` counts at once, for more than six letters in proportion to their number. Hotwords
    never get it, which their weight would not make good.

    Args:
        model: kenlm.Model.
        spelling: words in the case of the vocabulary, and how the model spells them.
        prefixes: beginnings of these words.
        alpha, beta, unknown: see above.
        preferred: the words of hotwords, in the case of the vocabulary.
    """

    def __init__(
        self,
        model: Any,
        spelling: dict[str, str],
        prefixes: frozenset[str],
        alpha: float,
        beta: float,
        unknown: float,
        preferred: frozenset[str] = frozenset(),
    ) -> None:
        import kenlm

        self.order: int = model.order
        self.alpha = alpha
        self.beta = beta
        self.unknown = unknown
        #: whether the text ends where the search ends
        self.ends = True
        self._state = kenlm.State
        self._model = model
        self._spelling = spelling
        self._prefixes = prefixes
        self._preferred = preferred

    def get_start_state(self) -> Any:
        """The state at the beginning of a sentence."""
        state = self._state()
        self._model.BeginSentenceWrite(state)
        return state

    def score_partial_token(self, partial_token: str) -> float:
        """What a word that is not complete adds to the score."""
        if partial_token in self._prefixes:
            return 0.0
        return self.unknown * max(1.0, len(partial_token) / _USUAL_LENGTH)

    def score(self, prev_state: Any, word: str, is_last_word: bool = False) -> tuple[float, Any]:
        """The score of a word after a state, and the state after it.

        Args:
            prev_state: kenlm.State.
            word: "" for none, where the text so far already ends with a whole word.
            is_last_word: nothing comes after it.
        """
        score, state = 0.0, prev_state
        if word:
            state = self._state()
            known = self._spelling.get(word)
            logarithm = self._model.BaseScore(prev_state, word if known is None else known, state)
            if known is None and word not in self._preferred:
                logarithm += self.unknown
            score = self.alpha * _LN_10 * logarithm + self.beta
        if is_last_word and self.ends:
            score += self.alpha * _LN_10 * self._model.BaseScore(state, "</s>", self._state())
        return score, state


@lru_cache(maxsize=2)
def _load(
    found: LanguageModelFile,
    vocabulary: Vocabulary,
    stamps: tuple[tuple[Path, int], ...],  # noqa: ARG001 - they tell a changed file
) -> tuple[Any, dict[str, str], frozenset[str]]:
    import kenlm

    if found.unigrams is None:
        words = read_unigrams(found.file)
    else:
        words = _read_words(found.unigrams)
        if is_arpa(found.file):
            check_head(found.file)
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        model = kenlm.Model(str(found.file), config)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--lm {found.name}: KenLM cannot read it: {reason[:300]}") from error
    if found.unigrams is not None:
        words = _known_words(words, model, found)
    spelling: dict[str, str] = {}
    letters, lost = vocabulary.text_tokens, []
    # of words that differ only in their case, the most probable one counts
    for word in sorted(words, key=lambda word: words[word]):
        spelled = vocabulary.spelled(word)
        if letters.issuperset(spelled):
            spelling[spelled] = word
        else:
            lost.append(word)
    if not spelling:
        raise UsageError(
            f"--lm {found.name}: the model can spell none of its {len(words)} words, such as "
            f"{', '.join(map(repr, lost[-3:]))}",
            hint="it is for another language or vocabulary",
        )
    if lost:
        _log.info(
            "--lm %s: %d of %d words cannot be spelled and are left out, such as %s",
            found.name,
            len(lost),
            len(words),
            ", ".join(map(repr, lost[:-4:-1])),
        )
    prefixes = frozenset(word[:end] for word in spelling for end in range(1, len(word) + 1))
    return model, spelling, prefixes


def _known_words(words: Iterable[str], model: Any, found: LanguageModelFile) -> dict[str, float]:
    """Those of --unigrams that the model has, and the logarithms of their probabilities.

    Raises:
        UsageError: it has none of them.
    """
    import kenlm

    start, after = kenlm.State(), kenlm.State()
    model.NullContextWrite(start)
    known = {word: model.BaseScore(start, word, after) for word in words if word in model}
    if not known:
        raise UsageError(
            f"--lm {found.name} has none of the words of {found.unigrams}",
            hint="give the words of the text it was made of, in its letter case",
        )
    _log.info("--lm %s: it has %d of the words of %s", found.name, len(known), found.unigrams)
    return known


def _read_words(file: Path) -> dict[str, float]:
    """The words of --unigrams, one a line, whose probabilities only the model knows (UsageError)."""
    try:
        with open_text(file) as stream:
            words = {word: 0.0 for line in stream for word in line.decode("utf-8-sig").split()[:1]}
    except UnicodeDecodeError as error:
        raise UsageError(f"--unigrams {file}: it is not UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"--unigrams {file}: it cannot be read: {error}") from error
    if not words:
        raise UsageError(f"--unigrams {file}: it holds no words", hint="give one word a line")
    return words
