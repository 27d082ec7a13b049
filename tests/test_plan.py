"""Plans of many inputs and journals of many entries: their memory, and hashes that are the same."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sewcli.cli.output import collisions, entries, plan
from sewcli.cli.output.entries import Entries
from sewcli.cli.output.keeping import Beside
from sewcli.cli.output.plan import Plan
from sewcli.cli.output.template import BY_PATH, Template
from sewcli.errors import UsageError
from sewcli.inputs.packed import Packed
from sewcli.inputs.raw import RawAudio
from sewcli.inputs.source import Source
from sewcli.writers import FORMATS

ROOT = Path("results")


def numbered(count: int) -> Iterator[Source]:
    """Recordings of many speakers."""
    for number in range(count):
        path = f"/data/corpus/speaker-{number // 100:05d}/recording-{number:07d}.flac"
        yield Source(path, Path(path))


def planned(*paths: str, template: str = BY_PATH, root: Path = ROOT, replace: bool = False) -> Plan:
    sources = [Source(path, Path(path)) for path in paths]
    return plan.plan(root, sources, [FORMATS["text"]], Template(template), replace=replace)


@pytest.fixture(params=["hashes as they are", "one hash for all"])
def hashed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything has to be right with hashes that are the same, too."""
    if request.param == "one hash for all":
        monkeypatch.setattr(collisions, "hash", lambda _name: 7, raising=False)
        monkeypatch.setattr(entries, "hash", lambda _name: 7, raising=False)


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 3000])
def test_packed_sources_are_those_put_in(count: int) -> None:
    more = Source("a\udcff", Path("b"), 1.5, 2.0, "text", "a", "error", 3, RawAudio(8000, "s16le", 1), 4.0)
    sources = [*numbered(count), more]
    packed = Packed(sources)
    assert len(packed) == len(sources)
    for _ in range(2):
        assert list(packed) == sources
    assert next(iter(packed)) == sources[0]


@pytest.mark.usefixtures("hashed")
def test_files_are_named_anew_each_time() -> None:
    made = planned("a/x.wav", "b/x.wav", template="{index}/{stem}.txt")
    for _ in range(2):
        assert [one.targets for one in made] == [(ROOT / "1/x.txt",), (ROOT / "2/x.txt",)]


@pytest.mark.usefixtures("hashed")
@pytest.mark.parametrize(
    ("paths", "template", "told"),
    [
        ("a.wav b.wav a.flac", "{stem}.txt", "a.wav and a.flac would both be written to results/a.txt"),
        ("b.wav a.wav a.wav", "{stem}.txt", "two results of a.wav would be written to results/a.txt"),
        ("b.wav x/c.wav x.wav", "{parent}/{stem}", "would be a file for x.wav and a folder for x/c.wav"),
        ("x.wav b.wav x/y/c.wav", "{parent}/{stem}", "would be a file for x.wav and a folder for x/y/c.wav"),
        ("a b.wav results/../results/a.txt", "{stem}.txt", "written to results/a.txt"),
        ("b.wav results/b.txt", "{name}", "results/b.txt is an input"),
    ],
)
def test_files_that_collide_are_told(paths: str, template: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        planned(*paths.split(), template=template)
    assert told in str(refused.value)


@pytest.mark.usefixtures("hashed")
@pytest.mark.parametrize(
    ("paths", "template"),
    [
        ("a.wav b.wav x/a.wav", BY_PATH),
        ("results/a.wav results/b.wav", "{stem}.txt"),
        ("x/a.wav x/b.wav x/x.wav", "{stem}/x"),
    ],
)
def test_files_that_do_not_collide_are_planned(paths: str, template: str) -> None:
    assert len(planned(*paths.split(), template=template)) == len(paths.split())


@pytest.mark.usefixtures("hashed")
def test_files_beside_are_not_those_of_results() -> None:
    made = planned("a.wav", "b.wav", template="{stem}.txt")
    made.put_beside([lambda source: ROOT / f"{source.path}.png"])
    assert [one.beside for one in made] == [(ROOT / "a.wav.png",), (ROOT / "b.wav.png",)]
    with pytest.raises(UsageError, match=r"results/b\.txt would be written twice for a\.wav"):
        made.put_beside([lambda source: ROOT / ("b.txt" if source.path == "a.wav" else "c.png")])


def test_files_that_exist_are_counted(tmp_path: Path) -> None:
    for name in ("a.txt", "c.txt"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"a\.txt exists \(and 1 more\)"):
        planned("a.wav", "b.wav", "c.wav", template="{stem}.txt", root=tmp_path)
    assert len(planned("a.wav", "b.wav", template="{stem}.txt", root=tmp_path, replace=True)) == 2
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(UsageError, match=r"b\.txt is a directory"):
        planned("a.wav", "b.wav", template="{stem}.txt", root=tmp_path, replace=True)


def test_an_input_is_kept_whatever_links_lead_to_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    recording = tmp_path / "in" / "a.wav"
    for path, root in (
        (str(recording), tmp_path / "link"),
        (str(tmp_path / "link" / "a.wav"), tmp_path / "in"),
        (f"file://{recording}", tmp_path / "in"),
    ):
        with pytest.raises(UsageError, match=r"a\.wav is an input"):
            planned(path, template="{name}", root=root, replace=True)
    (tmp_path / "b.wav").symlink_to(recording)
    with pytest.raises(UsageError, match=r"a\.wav is an input"):
        planned(str(tmp_path / "b.wav"), template="a.wav", root=tmp_path / "in", replace=True)
    with pytest.raises(UsageError, match=r"a\.wav is an input and would be a folder"):
        planned(str(recording), template="{name}/text", root=tmp_path / "in", replace=True)
    # what is written to is a link itself, and replaced: what it points to stays
    (tmp_path / "in" / "b.txt").symlink_to(recording)
    assert len(planned(str(recording), template="b.txt", root=tmp_path / "in", replace=True)) == 1


def test_files_beside_that_count_inputs_want_each_once(tmp_path: Path) -> None:
    sources = [Source("a.wav", Path("a.wav")), Source("b.wav", Path("b.wav"))]
    template = Template("{index}.png")
    beside = Beside("--plot", tmp_path, ".png", sources, template, replace=False)
    assert [beside.target(one).name for one in sources] == ["1.png", "2.png"]
    with pytest.raises(UsageError, match=r"--plot: a\.wav is given twice"):
        Beside("--plot", tmp_path, ".png", [*sources, sources[0]], template, replace=False)


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NUL"):
        Template("a\0b")
    made = planned("http://host/x%00y.wav", template="{stem}.txt", root=tmp_path)
    assert [one.targets for one in made] == [(tmp_path / "x_y.txt",)]
    assert len(planned("no\0folder/a.wav", root=tmp_path)) == 1
    with pytest.raises(UsageError, match=r"for in/\.sew-a\.wav: names that begin with \.sew-"):
        planned("in/.sew-a.wav", template="{stem}.txt")


def traced(make: Callable[[int], object], count: int) -> tuple[int, int]:
    """Bytes at the most while something is made, and when it is there."""
    tracemalloc.start()
    made = make(count)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return peak, kept


def taken(make: Callable[[int], object]) -> tuple[float, float]:
    """Bytes that each of two thousand inputs more takes, at the most and in the end.

    The least of four measurements: the table of interned strings grows now and then.
    """
    make(10)
    measured = ([traced(make, count) for _ in range(4)] for count in (2_000, 4_000))
    few, many = (tuple(map(min, zip(*each, strict=True))) for each in measured)
    return (many[0] - few[0]) / 2_000, (many[1] - few[1]) / 2_000


@pytest.mark.slow
def test_a_plan_takes_some_bytes_an_input() -> None:
    peak, kept = taken(
        lambda count: plan.plan(ROOT, numbered(count), [FORMATS["json"]], Template(), replace=False)
    )
    assert peak < 150  # it was 1,400
    assert kept < 50


@pytest.mark.slow
def test_a_journal_takes_some_bytes_an_entry(tmp_path: Path) -> None:
    def read(count: int) -> Entries:
        with (tmp_path / "journal").open("wb") as file:
            for number in range(count):
                name = f"speaker/recording-{number:07d}.txt"
                file.write(entries.line({name: number}, {name: "0" * 40}, "a" * 40, "b" * 40, "/in.wav"))
        made = Entries(tmp_path / "journal")
        assert made.files == count
        return made

    peak, kept = taken(read)
    assert peak < 150
    assert kept < 50


@pytest.mark.usefixtures("hashed")
def test_the_last_entry_of_a_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    lines = [
        entries.line({"a": 1, "b": 1}, {"a": "x", "b": "x"}, "audio", "run", ""),
        b"broken\n",
        entries.line({"a": 2}, {"a": "y"}, "audio", "run", ""),
        entries.line({"ü\udcff": 3}, {"ü\udcff": "z"}, "other", "run", "/in.wav"),
        b'{"audio": "half',
    ]
    file.write_bytes(b"".join(lines))
    found = Entries(file)
    assert found.find("a") == ("audio", "run", 2, "y", "")
    assert found.find("b") == ("audio", "run", 1, "x", "")
    assert found.find("ü\udcff") == ("other", "run", 3, "z", "/in.wav")
    assert found.find("c") is None
    written = [json.loads(line) for line in found.lines()]
    assert [entry["files"] for entry in written] == [{"b": 1}, {"a": 2}, {"ü\udcff": 3}]
    found.close()


def test_threads_find_the_entries_of_one_journal(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    names = [f"{number}.txt" for number in range(300)]
    file.write_bytes(
        b"".join(entries.line({n: len(n)}, {n: n}, "audio" * i, "run", "") for i, n in enumerate(names))
    )
    found = Entries(file)
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(found.find, names * 10))
    assert got == [("audio" * i, "run", len(name), name, "") for i, name in enumerate(names)] * 10


def test_an_input_whose_files_cannot_have_their_names_has_none(tmp_path: Path) -> None:
    """A name of 255 bytes is the longest; é has two, and a byte that is no UTF-8 counts as one."""
    sources = [
        Source(f"{name}.wav", Path(f"{name}.wav"))
        for name in ("a" * 251, "a" * 252, "é" * 125, "é" * 126, "\udce9" * 251)
    ]
    made = plan.plan(tmp_path, sources, [FORMATS["text"], FORMATS["srt"]], Template(), replace=False)
    assert [len(one.targets) for one in made] == [2, 0, 2, 0, 2]
    errors = [one.source.error for one in made]
    assert [error is None for error in errors] == [True, False, True, False, True]
    assert "File name too long" in (errors[1] or "")


def test_a_journal_that_is_not_there_has_no_entries(tmp_path: Path) -> None:
    found = Entries(tmp_path / "journal")
    assert (found.files, found.spare, found.find("a"), list(found.lines())) == (0, 0, None, [])
