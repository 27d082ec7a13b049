"""The letter case of transcripts."""

import json

import pytest
from helpers import needs_pyctcdecode

from sewcli.casing import recased
from sewcli.results import Alternative, ModelInfo, Span, Transcript


def transcript(*words):
    spans = tuple(Span(word, i, i + 0.5, 0.9) for i, word in enumerate(words))
    text = " ".join(words)
    chars = tuple(Span(character, i, i, 0.5) for i, character in enumerate(text))
    return Transcript(
        "a", 3.0, text, ModelInfo("m"), spans, chars, alternatives=(Alternative(text, -1.0, -1.5),)
    )


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("as-is", "'TIS Über ALL"),
        ("upper", "'TIS ÜBER ALL"),
        ("lower", "'tis über all"),
        ("sentence", "'Tis über all"),
    ],
)
def test_text_words_characters_and_alternatives_agree(case, expected):
    before = transcript("'TIS", "Über", "ALL")
    after = recased(before, case)
    assert after.text == expected
    assert [word.text for word in after.words] == expected.split()
    assert "".join(character.text for character in after.chars) == expected
    assert after.alternatives == (Alternative(expected, -1.0, -1.5),)
    assert [word.start for word in after.words] == [word.start for word in before.words]


def test_a_transcript_without_words_or_letters_stays():
    for text in ("", "'"):
        plain = Transcript("a", 1.0, text, ModelInfo("m"))
        assert recased(plain, "sentence") == plain


def test_the_command_writes_the_case_and_puts_it_on_record(sew, ctc, audio, tmp_path):
    given = ("transcribe", audio / "a.wav", "-m", ctc, "-f", "json", "--timestamps", "char")
    [upper] = sew(*given).records
    [found] = sew(*given, "--case", "sentence").records
    assert upper["text"]
    assert found["text"] == upper["text"].capitalize()
    assert " ".join(word["word"] for word in found["words"]) == found["text"]
    assert found["settings"] == upper["settings"] | {"case": "sentence"}
    sew("transcribe", audio / "a.wav", "-m", ctc, "--save-logits", tmp_path)
    decoded = sew("decode", tmp_path, "-f", "json", "--timestamps", "char", "--case", "sentence")
    assert decoded.records == [found]
    assert sew("transcribe", audio / "a.wav", "--case", "title").code == 2


@needs_pyctcdecode
def test_transcripts_of_a_beam_search_have_the_case(sew, ctc, audio, tmp_path):
    sew("transcribe", audio / "a.wav", "-m", ctc, "--save-logits", tmp_path)
    beam = ("--decoder", "beam", "--n-best", "2", "--case", "lower")
    [record] = sew("decode", tmp_path, "-f", "json", *beam).records
    assert record["alternatives"][0]["text"] == record["text"] == record["text"].lower()


def test_the_subtitles_have_it_too(sew, ctc, audio):
    result = sew("transcribe", audio / "a.wav", "-m", ctc, "-f", "verbose_json", "--case", "lower")
    record = json.loads(result.out)
    assert record["text"] == record["text"].lower() != ""
    assert all(segment["text"] == segment["text"].lower() for segment in record["segments"])
