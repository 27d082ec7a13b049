"""Clips that are held out of training where there is no dev set."""

from pathlib import Path

from sewcli.inputs.manifest import Row
from sewcli.inputs.source import Source
from sewcli.training.data import hold_out


def test_clips_of_every_label_are_held_out_but_of_those_with_one():
    counts = {"zero": 45, "one": 2, "rare": 1}
    rows = [
        Row(Source(f"{label}{i}", Path(f"{label}{i}")), label)
        for label, n in counts.items()
        for i in range(n)
    ]
    held, kept = hold_out(rows, by_label=True)
    assert [row.source.path for row in held] == ["zero0", "zero20", "zero40", "one0"]
    assert [row for row in rows if row not in held] == kept
    assert [row.source.path for row in hold_out(rows, by_label=False)[0]] == ["zero0", "zero20", "zero40"]
    singles = [Row(Source(str(i), Path(str(i))), str(i)) for i in range(3)]
    assert [row.label for row in hold_out(singles, by_label=True)[0]] == ["0"]
    texts = [Row(Source(str(i), Path(str(i)), text="A")) for i in range(41)]
    assert [row.source.path for row in hold_out(texts, by_label=False)[0]] == ["0", "20", "40"]


def test_copies_of_what_is_held_out_are_not_learned():
    texts = [Row(Source(f"{i}", Path(f"{i}"), text="A")) for i in range(30)]
    held, kept = hold_out([*texts, *texts], by_label=False)
    assert [row.source.path for row in held] == ["0", "20"]
    assert {row.source.path for row in kept} == {str(i) for i in range(30)} - {"0", "20"}


def test_a_label_with_one_clip_in_two_manifests_has_it_to_learn_from():
    rows = [Row(Source(f"{i}", Path(f"{i}")), "a") for i in range(25)]
    twice = [Row(Source("b", Path("b")), "b")] * 2
    held, kept = hold_out([*rows, *twice], by_label=True)
    assert [row.source.path for row in held] == ["0", "20"]
    assert [row.label for row in kept][-2:] == ["b", "b"]
    pair = [Row(Source(name, Path(name)), name) for name in ("yes", "no")]
    held, kept = hold_out(pair * 2, by_label=True)
    assert ([row.label for row in held], {row.label for row in kept}) == (["yes"], {"no"})
