"""Error rates and accuracy, and the command that prints them."""

import json
from pathlib import Path

import pytest

from sewcli.evaluation import Scored, accuracies, error_rates

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_rates_are_edits_over_the_corpus_with_letter_case_ignored():
    scores = error_rates([Scored("a b c d", "A B X", "one"), Scored("HELLO", "HELLO YOU", "two")])
    assert (scores["substitutions"], scores["deletions"], scores["insertions"]) == (1, 1, 1)
    assert scores["words"] == 5
    assert scores["wer"] == pytest.approx(3 / 5)
    assert scores["sets"]["one"]["wer"] == pytest.approx(2 / 4)
    assert scores["sets"]["two"]["cer"] == pytest.approx(4 / 5)


def test_accuracy_in_all_and_by_set():
    items = [Scored("a", "a", "x"), Scored("a", "b", "x"), Scored("b", "b", "y")]
    scores = accuracies(items)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["sets"]["x"] == {"utterances": 2, "correct": 1, "accuracy": 0.5}


def test_evaluate_scores_what_transcribe_writes(sew):
    manifest = EXAMPLES / "speech.jsonl"
    done = sew("evaluate", manifest, "-f", "json", "-q")
    assert done.code == 0
    references = [json.loads(line)["text"] for line in manifest.open()]
    files = [EXAMPLES / json.loads(line)["audio_filepath"] for line in manifest.open()]
    texts = sew("transcribe", "-h", "-q", *files).lines
    expected = error_rates([Scored(a, b, "") for a, b in zip(references, texts, strict=True)])
    assert json.loads(done.out)["wer"] == pytest.approx(expected["wer"])


def test_evaluate_and_classify_agree_on_a_clip_longer_than_a_chunk(sew, classifier, tmp_path):
    """A clip is one piece for both; cut in chunks its last seconds would decide."""
    from helpers import write_babble

    clips = [write_babble(tmp_path / f"{seed}.wav", 30.0, seed=seed) for seed in range(3)]
    answers = [line.split("\t")[0] for line in sew("classify", "-h", *clips, "-m", classifier).lines]
    manifest = tmp_path / "labels.jsonl"
    rows = [
        {"audio_filepath": clip.name, "label": answer} for clip, answer in zip(clips, answers, strict=True)
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    done = sew("evaluate", manifest, "-m", classifier, "-f", "json", "--chunk", "5")
    assert json.loads(done.out)["accuracy"] == 1.0


def test_inputs_that_fail_are_counted(sew, tmp_path):
    manifest = tmp_path / "some.jsonl"
    clip = EXAMPLES / "speech/explosion.opus"
    rows = [{"audio_filepath": str(clip), "text": "NO ONE"}, {"audio_filepath": "no.wav", "text": "A"}]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    done = sew("evaluate", manifest, "-f", "json")
    assert done.code == 3
    assert json.loads(done.out)["failed"] == 1
    assert json.loads(done.out)["utterances"] == 1
    assert "not counted" in sew("evaluate", manifest).lines[0]


def test_a_manifest_for_two_tasks_is_refused(sew, tmp_path):
    manifest = tmp_path / "mixed.jsonl"
    manifest.write_text(
        '{"audio_filepath": "a.wav", "text": "A"}\n{"audio_filepath": "b.wav", "label": "b"}\n'
    )
    done = sew("evaluate", manifest)
    assert done.code == 2
    assert "row 2" in done.err
