"""Language models in beam search, from files to transcripts."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Sew

from sewcli.decoding.decoders import decoders
from sewcli.decoding.language_model import LanguageModelFile, _read_words
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import UsageError

pytest.importorskip("pyctcdecode", reason="no release of pyctcdecode for this Python")
kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")

TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEHLORTW'")
VOCABULARY = Vocabulary(TOKENS, blank=0, delimiter=4, special=frozenset({1, 2, 3}))
SENTENCES = "the bad cat\nthe bad hat\na bad bed\nthe cat ate a cat\nthe hat we wore\n"


def build(text: Path, case: str) -> Path:
    """A 2-gram model of a text."""
    model = text.with_name(f"{case}.arpa")
    command = [sys.executable, "-m", "sewcli", "lm", "build", text, "-o", model, "--order", "2", "-q"]
    subprocess.run([*command, "--case", case], check=True)
    return model


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-gram model in lower case."""
    text = tmp_path_factory.mktemp("lm") / "text.txt"
    text.write_text(SENTENCES)
    return build(text, "lower")


def uncertain(words: str, doubts: dict[int, str], seed: int = 0) -> np.ndarray[Any, Any]:
    """Logits that spell words, a frame a character and a blank after it; some waver to another letter."""
    ids = {token: index for index, token in enumerate(TOKENS)} | {" ": 4}
    logits = np.random.default_rng(seed).normal(0, 0.3, (2 * len(words), len(TOKENS)))
    for place, character in enumerate(words):
        logits[2 * place, ids[character]] += 6
        logits[2 * place + 1, 0] += 8
        if place in doubts:
            logits[2 * place, ids[doubts[place]]] += 6.5
    return logits.astype(np.float32)


def decode(logits: Any, **options: Any) -> Any:
    from sewcli.decoding.options import DecodingOptions

    chosen = DecodingOptions(**options)
    chosen.check()
    make, _ = decoders(chosen, VOCABULARY)
    decoder = make()
    decoder.push(logits)
    hypothesis = decoder.finish()
    decoder.close()
    return hypothesis


def test_words_in_lower_case_decide_between_letters(arpa: Path) -> None:
    logits = uncertain("THE BAD CAT", {8: "R"})
    assert decode(logits, decoder="beam").text == "THE BAD RAT"
    found = decode(logits, lm=str(arpa))
    assert found.text == "THE BAD CAT"
    words = found.words(9.0)
    assert [word.text for word in words] == ["THE", "BAD", "CAT"]
    assert [word.start for word in words] == [0.0, 0.16, 0.32]


def test_scores_are_those_of_pyctcdecode(arpa: Path) -> None:
    """Its own language model class, on words already in the case of the vocabulary."""
    from pyctcdecode import Alphabet, BeamSearchDecoderCTC, LanguageModel

    upper = build(arpa.with_name("text.txt"), "upper")
    words = {line.split("\t")[1] for line in upper.read_text().splitlines() if line.count("\t") == 2}
    labels = ["", " ", *TOKENS[5:]]
    for seed in range(6):
        logits = np.random.default_rng(seed).normal(0, 2, (12, len(TOKENS))).astype(np.float32)
        logits[-1, 5] += 20  # the text does not end with a space, see LanguageModel.score
        found = decode(logits, lm=str(upper), alpha=0.7, beta=0.4, beam_width=300, n_best=5,
                       token_min_logp=-40.0, beam_prune_logp=-100.0)  # fmt: skip
        own = LanguageModel(
            kenlm.Model(str(upper)), {word for word in words if "<" not in word}, alpha=0.7, beta=0.4
        )
        expected = BeamSearchDecoderCTC(Alphabet.build_alphabet(labels), own).decode_beams(
            VOCABULARY.log_posteriors(logits)[:, VOCABULARY.columns], beam_width=300,
            token_min_logp=-40.0, beam_prune_logp=-100.0,
        )  # fmt: skip
        assert [one.text for one in found.alternatives] == [beam[0] for beam in expected[:5]]
        scores = [beam[4] for beam in expected[:5]]
        assert [one.score for one in found.alternatives] == pytest.approx(scores, abs=1e-3)


def test_packed_arpa_gives_the_same_and_a_changed_file_is_read_again(arpa: Path, tmp_path: Path) -> None:
    logits = uncertain("THE BAD CAT", {8: "H"})
    packed = tmp_path / "lm.arpa.gz"
    packed.write_bytes(gzip.compress(arpa.read_bytes()))
    plain = decode(logits, lm=str(arpa), n_best=3)
    assert decode(logits, lm=str(packed), n_best=3) == plain
    assert [one.text for one in plain.alternatives[:2]] == ["THE BAD CAT", "THE BAD HAT"]
    packed.write_bytes(gzip.compress(arpa.read_bytes().replace(b"cat", b"cot")))
    assert decode(logits, lm=str(packed)).text == "THE BAD HAT"


def test_a_binary_needs_its_words(arpa: Path, tmp_path: Path) -> None:
    """KenLM writes no binary from Python, so that its reading is left to KenLM."""
    binary = tmp_path / "lm.bin"
    binary.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\x00" + bytes(200))
    with pytest.raises(UsageError, match="--unigrams"):
        decode(uncertain("A", {}), lm=str(binary))
    words = tmp_path / "words.txt"
    words.write_text("cat\nhat\n")
    with pytest.raises(UsageError, match="KenLM cannot read it"):
        decode(uncertain("A", {}), lm=str(binary), unigrams=str(words))
    # words beside an ARPA file take the place of its own
    logits = uncertain("THE BAD CAT", {8: "R"})
    assert decode(logits, lm=str(arpa), unigrams=str(words)).text.endswith("CAT")


def test_of_other_words_those_that_the_model_has_count(arpa: Path, tmp_path: Path) -> None:
    """And of two spellings the one that the model finds more probable, wherever it stands in the list."""
    words = tmp_path / "words.txt"
    words.write_text("the\ncat\nbad\nrat\n")
    logits = uncertain("THE BAD CAT", {8: "R"})
    assert decode(logits, lm=str(arpa), unigrams=str(words)).text == "THE BAD CAT"
    both = tmp_path / "both.arpa"
    both.write_text(re.sub(r"\bhat\b", "Cat", arpa.read_text()))
    words.write_text("the\nbad\ncat\nCat\n")
    plain = decode(logits, lm=str(both), unigrams=str(words), n_best=2)
    assert plain.alternatives == decode(logits, lm=str(both), n_best=2).alternatives
    words.write_text("dog\n")
    with pytest.raises(UsageError, match="has none of the words"):
        decode(logits, lm=str(arpa), unigrams=str(words))


def test_a_hotword_that_the_model_does_not_know_is_no_unknown_word(arpa: Path) -> None:
    logits = uncertain("THE BAD RAT", {8: "C"})
    assert decode(logits, lm=str(arpa)).text == "THE BAD CAT"
    assert decode(logits, lm=str(arpa), hotwords=("rat",)).text == "THE BAD RAT"
    wide: dict[str, Any] = {"lm": str(arpa), "n_best": 5, "beam_prune_logp": -100.0}
    plain, preferred = (
        {one.text: one for one in decode(logits, hotwords=words, hotword_weight=0.0, **wide).alternatives}
        for words in ((), ("bad rat",))
    )
    one, other = plain["THE BAD RAT"], preferred["THE BAD RAT"]
    # log10 times alpha: what `unk_score` takes from the word elsewhere
    assert other.score - one.score == pytest.approx(0.75 * 10 * np.log(10), abs=1e-3)
    assert other.network_score == pytest.approx(one.network_score, abs=1e-3)


def test_no_frames_have_alternatives_and_hotwords_too(arpa: Path) -> None:
    found = decode(np.zeros((0, len(TOKENS)), np.float32), lm=str(arpa), n_best=3, hotwords=("cat",))
    assert [one.text for one in found.alternatives] == [""]
    assert found.hotwords == {"CAT": 0}


def test_a_model_whose_words_cannot_be_spelled_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "t.txt"
    text.write_text("für 12\n")
    model = build(text, "lower")
    with pytest.raises(UsageError, match="can spell none of its 2 words"):
        decode(uncertain("A", {}), lm=str(model))


def test_a_recording_in_pieces_reads_like_one(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces end between words, and the language model remembers what came before."""
    sentence = "THE BAD CAT THE HAT WE WORE A BAD BED"
    logits = uncertain(sentence, {8: "R", 16: "R"})
    for lm in (None, str(arpa)):
        options = {"decoder": "beam", "lm": lm, "n_best": 3}
        monkeypatch.setattr("sewcli.decoding.beam._LONGEST", 3000)
        whole = decode(logits, **options)
        monkeypatch.setattr("sewcli.decoding.beam._LONGEST", 24)
        monkeypatch.setattr("sewcli.decoding.beam._SHORTEST", 12)
        cut = decode(logits, **options)
        assert (cut.text, cut.tokens) == (whole.text, whole.tokens)
        assert [one.text for one in cut.alternatives] == [one.text for one in whole.alternatives]
        if lm is not None:
            assert cut.alternatives[0].score == pytest.approx(whole.alternatives[0].score, abs=1e-3)


def test_command_with_the_builtin_model(sew: Sew) -> None:
    # long enough that greedy decoding leaves something to mend
    clip = Path(__file__).parent.parent / "examples/speech/brisk-wind.opus"
    [plain] = sew("transcribe", clip, "-f", "json").records
    [record] = sew("transcribe", clip, "-f", "json", "--lm", "builtin", "--n-best", "3").records
    assert record["text"] != plain["text"]
    assert record["settings"] | {"lm": "builtin", "decoder": "beam"} == record["settings"]
    assert len(record["settings"]["lm_hash"]) == 20
    assert record["alternatives"][0]["text"] == record["text"]
    scores = [one["score"] for one in record["alternatives"]]
    assert scores == sorted(scores, reverse=True)
    words = record["words"]
    assert [word["word"] for word in words] == record["text"].split()
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[-1] <= record["duration"]


def test_resume_knows_another_language_model(
    sew: Sew, audio: Path, ctc: Path, arpa: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.arpa"
    model.write_bytes(arpa.read_bytes())
    given = ("transcribe", audio / "b.wav", "-m", ctc, "--lm", model, "-o", tmp_path / "out", "--resume")
    assert "done before" not in sew(*given).err
    assert "1 of 1 inputs were done before" in sew(*given).err
    model.write_bytes(arpa.read_bytes().replace(b"hat", b"hut"))
    assert "done before" not in sew(*given).err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--lm", "builtin", "--decoder", "greedy"], "leave out --decoder greedy"),
        (["--lm", "gone.arpa"], "gone.arpa: there is no such file"),
        (["--unigrams", "words.txt"], "add --lm FILE"),
        (
            ["--lm", "builtin", "--unigrams", "gone.txt"],
            "--unigrams gone.txt: there is no such file (it takes",
        ),
        (["--lm", "builtin", "--alpha", "nan"], "--alpha"),
        (["--decoder", "beam", "--token-min-logp", "1"], "--token-min-logp 1"),
        (["--n-best", "2"], "--decoder beam"),
        (["--decoder", "beam", "--n-best", "9", "--beam-width", "8"], "add --beam-width 9"),
        (["--lm", __file__], f"sew lm build {__file__}"),
    ],
)
def test_wrong_usage_is_told_before_a_model_is_loaded(
    sew: Sew, audio: Path, options: list[str], named: str
) -> None:
    result = sew("transcribe", audio / "a.wav", "-m", "no-such-model", *options)
    assert (result.code, named in result.err) == (2, True), result.err


def test_without_kenlm_the_extra_is_named(sew: Sew, audio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "kenlm" else find(name))
    result = sew("transcribe", audio / "a.wav", "--lm", "builtin")
    assert (result.code, "sewcli[lm]" in result.err) == (2, True)


@pytest.mark.parametrize("words", [False, True])
def test_counts_that_would_end_the_process_are_refused(tmp_path: Path, words: bool) -> None:
    """KenLM takes a negative one for a size."""
    file, known = tmp_path / "mine.arpa", tmp_path / "words.txt"
    file.write_text("\\data\\\nngram 1=-5\n\n\\1-grams:\n-1\t<unk>\n-1\t<s>\n-1\t</s>\n-1\tGO\n\n\\end\\\n")
    known.write_text("GO\n")
    found = LanguageModelFile.find(str(file), str(known) if words else None)
    with pytest.raises(UsageError, match=r"mine\.arpa is damaged.*'ngram 1=-5' counts nothing"):
        found.load(VOCABULARY, 0.5, 1.0, -10.0)


def test_damaged_files_are_wrong_usage_and_named(tmp_path: Path) -> None:
    content = gzip.compress(b"\\data\\\nngram 1=3\n" + bytes(range(256)) * 64)
    damaged, cut = tmp_path / "damaged.arpa.gz", tmp_path / "words.gz"
    damaged.write_bytes(content[:12] + b"\xff" * 40 + content[52:])
    cut.write_bytes(gzip.compress(b"\n".join(b"WORD%d" % i for i in range(5000)))[:-2000])
    with pytest.raises(UsageError, match=r"damaged\.arpa\.gz"):
        DecodingOptions(lm=str(damaged)).check()
    with pytest.raises(UsageError, match=r"words\.gz"):
        _read_words(cut)
