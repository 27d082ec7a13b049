"""Vocabularies as tokenizers save them, held against Wav2Vec2CTCTokenizer."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import transformers
from helpers import needs_pyctcdecode

from sewcli.decoding.decoders import decoders
from sewcli.decoding.hotwords import spellable
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.vocabulary import Vocabulary, load_vocabulary, without_marks
from sewcli.errors import ModelError
from sewcli.training.vocabulary import read_vocabulary

TOKENS = ["<pad>", "|", "A", "B", "Ä", "<unk>"]


def tokenizer_of(
    directory: Path, tokens: list[str] = TOKENS, **options: object
) -> transformers.Wav2Vec2CTCTokenizer:
    """Save a tokenizer as transformers does, and give it back."""
    directory.mkdir(exist_ok=True)
    file = directory / "tokens.json"
    file.write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(file), **options)
    tokenizer.save_pretrained(directory)
    return tokenizer


def text_of(directory: Path, ids: list[int], columns: int, options: DecodingOptions | None = None) -> str:
    """What a decoder makes of frames that are sure of these ids."""
    vocabulary = load_vocabulary(directory, columns)
    make, _ = decoders(options or DecodingOptions(), vocabulary)
    decoder = make()
    decoder.push(np.where(np.eye(columns)[ids] > 0, 9.0, 0.0).astype(np.float32))
    text = decoder.finish().text
    decoder.close()
    return text


@pytest.mark.parametrize("content", ["3", "[]", "{", "[" * 100_000, '"\\ud800"'])
def test_a_vocabulary_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(ModelError, match=r"vocab\.json cannot be read: "):
        load_vocabulary(tmp_path, 4)
    with pytest.raises(ModelError, match=r"vocab\.json cannot be read: "):
        read_vocabulary(tmp_path / "vocab.json")


IDS = [2, 2, 0, 2, 1, 3, 4, 4, 1]


@pytest.mark.parametrize("mark", [" ", "|"])
def test_a_space_among_the_tokens_ends_words(tmp_path: Path, mark: str) -> None:
    tokens = [token.replace("|", " ") for token in TOKENS]
    tokenizer = tokenizer_of(tmp_path, tokens, word_delimiter_token=mark)
    assert text_of(tmp_path, IDS, len(tokens)) == tokenizer.decode(IDS) == "AA BÄ"


@pytest.mark.parametrize("more", [{}, {"added_tokens_decoder": {"0": {"content": "<pad>", "special": True}}}])
@pytest.mark.parametrize("named", [{}, {"pad_token": None}, {"pad_token": "<pad>"}], ids=str)
def test_the_blank_is_the_one_that_the_library_takes(
    tmp_path: Path, named: dict[str, str], more: dict[str, object]
) -> None:
    """Of two files that name one."""
    tokens = ["<pad>", "|", "A", "B", "<x>", "<unk>"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    config = {"tokenizer_class": "Wav2Vec2CTCTokenizer", **named, **more}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<x>"}))
    taken = transformers.Wav2Vec2CTCTokenizer.from_pretrained(tmp_path).pad_token
    assert tokens[load_vocabulary(tmp_path, 6).blank] == (taken or "<pad>")


def vocabulary_of(directory: Path, *tokens: str) -> Vocabulary:
    """As a vocab.json alone has it, behind a blank."""
    ids = {token: i for i, token in enumerate(("<pad>", *tokens))}
    (directory / "vocab.json").write_text(json.dumps(ids))
    return load_vocabulary(directory, len(ids))


def test_marks_and_apostrophes_that_are_tokens_stay(tmp_path: Path) -> None:
    both = vocabulary_of(tmp_path, "|", "A", "\u0308", "'", "\u2019")
    assert both.text_tokens == {"A", "\u0308", "'", "\u2019"}
    assert both.encode("A\u0308\u2019'") == [2, 3, 5, 4]
    assert (both.lacking("a'"), both.lacking("aß")) == ([], ["S"])
    assert vocabulary_of(tmp_path, "|", "A").lacking("A\u2019") == ["\u2019"]


def test_texts_are_spelled_in_the_letter_case_of_the_vocabulary() -> None:
    vocabulary = Vocabulary(("<pad>", "<unk>", "|", "A", "B", "'"), 0, 2, frozenset({1}))
    assert vocabulary.encode(" a  b'A ") == [3, 2, 4, 5, 3]
    with pytest.raises(ValueError, match=r"no 'C' '\|'"):
        vocabulary.encode("abc|")
    with pytest.raises(ValueError, match="no ' '"):
        Vocabulary(("<pad>", "A"), 0, None, frozenset()).encode("A A")


def test_the_tables_of_a_vocabulary_are_made_once() -> None:
    """A text of 20 characters took 2 s with a vocabulary of 3,500 when they were made for each."""
    characters = tuple(map(chr, range(0x4E00, 0x4E00 + 3500)))
    vocabulary = Vocabulary(("<pad>", "|", *characters), 0, 1, frozenset())
    tokens, columns = vocabulary.text_tokens, vocabulary.columns
    assert vocabulary.encode(f"{characters[0]} {characters[1]}") == [2, 1, 3]
    assert vocabulary.text_tokens is tokens
    assert vocabulary.columns is columns


def test_words_are_spelled_with_the_marks_and_apostrophes_of_the_vocabulary() -> None:
    vocabulary = Vocabulary(("<pad>", "|", *"ACDEFNOT\u00c9'"), 0, 1, frozenset())
    assert vocabulary.spelled("cafe\u0301 don\u2019t") == "CAF\u00c9 DON'T"
    assert spellable(vocabulary, ["cafe\u0301", "CAF\u00c9", "don\u2019t"]) == ("CAF\u00c9", "DON'T")


@pytest.mark.parametrize("ids", [{"<pad>": 0, "A": 1, "B": 1}, {"<pad>": 0, "A": -1}, {"<pad>": 0, "A": 2}])
def test_ids_that_are_no_columns_are_refused(tmp_path: Path, ids: dict[str, int]) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps(ids))
    with pytest.raises(ModelError, match="does not fit the model"):
        load_vocabulary(tmp_path, 2)


def test_a_token_is_one_line_and_both_cases_stay(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert vocabulary_of(tmp_path, "A", "a", "\n").tokens == ("<pad>", "A", "a", " ")
    assert vocabulary_of(tmp_path, "A", "B").tokens == ("<pad>", "a", "b")


def test_symbols_are_marks_too() -> None:
    assert without_marks("5$ + a^b, c", {"^"}) == "5    a^b  c"


@pytest.mark.parametrize("options", [{}, {"do_lower_case": True}], ids=str)
def test_the_text_is_that_of_the_tokenizer(tmp_path: Path, options: dict[str, bool]) -> None:
    tokenizer = tokenizer_of(tmp_path, **options)
    columns = len(tokenizer)
    text = text_of(tmp_path, IDS, columns)
    assert text == tokenizer.decode(IDS)
    assert text == ("aa bä" if options else "AA BÄ")
    assert load_vocabulary(tmp_path, columns).encode("Aa") == [2, 2]


def test_sentence_marks_behind_the_last_column_are_none_of_the_model(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(tmp_path)
    added = json.loads((tmp_path / "added_tokens.json").read_text())
    assert set(added.values()) == {len(TOKENS), len(TOKENS) + 1}
    assert text_of(tmp_path, IDS, len(TOKENS)) == tokenizer.decode(IDS)
    with pytest.raises(ModelError, match="does not fit the model"):
        load_vocabulary(tmp_path, len(TOKENS) - 1)


def test_columns_without_a_token_are_never_chosen(tmp_path: Path) -> None:
    columns = len(tokenizer_of(tmp_path))
    text = text_of(tmp_path, IDS, columns + 1)
    assert text == text_of(tmp_path, [columns, *IDS, columns], columns + 1) == "AA BÄ"


def test_padding_may_stand_for_what_is_unknown_too(tmp_path: Path) -> None:
    columns = len(tokenizer_of(tmp_path, TOKENS[:-1], unk_token="<pad>"))
    assert text_of(tmp_path, IDS, columns) == "AA BÄ"


def test_a_tokenizer_without_a_word_delimiter_has_no_words(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "word_delimiter_token": None}))
    assert text_of(tmp_path, IDS, len(tokenizer)) == "AA|BÄ|"


def test_another_character_between_words_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = tokenizer_of(tmp_path, replace_word_delimiter_char="-")
    with caplog.at_level(logging.WARNING, "sewcli"):
        assert text_of(tmp_path, IDS, len(tokenizer)) == "AA BÄ"
    assert "not by '-'" in caplog.text


@needs_pyctcdecode
def test_pieces_of_a_beam_search_are_joined_by_nothing_where_there_are_no_words(tmp_path: Path) -> None:
    tokens = ["<pad>", "你", "好", "世", "界"]
    columns = len(tokenizer_of(tmp_path, tokens))
    ids = [0] * 7000
    ids[500:6500:1000] = [1, 2, 3, 4, 1, 2]
    beam = text_of(tmp_path, ids, columns, DecodingOptions(decoder="beam"))
    assert beam == text_of(tmp_path, ids, columns) == "你好世界你好"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'HELLO,' SHE SAID", "HELLO  SHE SAID"),
        ("\u2018HELLO,\u2019 SHE SAID", " HELLO  SHE SAID"),
        ("DON\u2019T 'I' SAID, ROCK 'N' ROLL", "DON'T I SAID  ROCK N ROLL"),
        ("THE DOGS' TAILS (5' LONG)", "THE DOGS TAILS  5 LONG "),
        ("'", ""),
        ("\u0939\u093f'\u0902\u0926", "\u0939\u093f'\u0902\u0926"),  # combining marks are of words
    ],
)
def test_apostrophes_that_are_quotation_marks_are_not_spelled(text, expected):
    assert without_marks(text, {*"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"}) == expected
    assert without_marks(text, {*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}) == expected.replace("'", "")
