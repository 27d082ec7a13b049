"""What the inputs of a command become, and in which order."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewcli.errors import UsageError
from sewcli.inputs.folders import Walk
from sewcli.inputs.formats import AUDIO_EXTENSIONS
from sewcli.inputs.source import Source
from sewcli.inputs.sources import check, expand


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def listed(text: bytes, **options: bool) -> list[Source]:
    return list(expand([], files_from="-", stdin=io.BytesIO(text), **options))


def manifest(tmp_path: Path, *rows: object) -> list[Source]:
    file = tmp_path / "manifest.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return list(expand([], files_from=str(file)))


def test_inputs_keep_their_order_and_need_not_exist() -> None:
    assert list(expand(["b.wav", "-", "nowhere/a.xyz", "b.wav"])) == [
        Source("b.wav", Path("b.wav")),
        Source("-", Path("-")),
        Source("nowhere/a.xyz", Path("nowhere/a.xyz")),
        Source("b.wav", Path("b.wav")),
    ]


def test_a_folder_is_read_recursively_sorted_without_hidden_and_other_files(tmp_path: Path) -> None:
    names = ["b.wav", "a/z.FLAC", "a/b/c.Mp3", "a.wav", "10.ogg", "9.opus"]
    skipped = ["notes.txt", ".hidden.wav", ".git/x.wav", "a/.b/y.wav", "wav", "a/x.wav.part"]
    touch(*(tmp_path / name for name in names + skipped))
    found = [source.path.removeprefix(f"{tmp_path}/") for source in expand([str(tmp_path)])]
    assert found == ["10.ogg", "9.opus", "a/b/c.Mp3", "a/z.FLAC", "a.wav", "b.wav"]


def test_a_folder_with_an_audio_name_is_a_folder_and_links_to_folders_are_not_followed(
    tmp_path: Path,
) -> None:
    touch(tmp_path / "take.wav" / "1.wav")
    (tmp_path / "take.wav" / "loop").symlink_to(tmp_path)
    (tmp_path / "take.wav" / "loop.wav").symlink_to(tmp_path)
    (tmp_path / "take.wav" / "file.wav").symlink_to(tmp_path / "take.wav" / "1.wav")
    found = [Path(source.path).name for source in expand([str(tmp_path)])]
    assert found == ["1.wav", "file.wav"]


def test_pipes_in_a_folder_are_passed_over_and_links_to_nowhere_are_not(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "b.wav")
    (tmp_path / "c.wav").symlink_to(tmp_path / "gone.wav")
    assert [Path(source.path).name for source in expand([str(tmp_path)])] == ["a.wav", "c.wav"]


def test_a_folder_is_looked_into_up_to_its_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(*(tmp_path / f"{number}.wav" for number in range(50)), tmp_path / "in" / "a.wav")
    looked_at = []
    counts = Walk._counts
    monkeypatch.setattr(
        Walk, "_counts", lambda self, entry, name: (looked_at.append(name), counts(self, entry, name))[1]
    )
    check([str(tmp_path)])
    assert len(looked_at) == 1
    assert len(list(expand([str(tmp_path)]))) == 51


def test_closed_standard_input_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    for inputs, files_from in ((["-"], None), ([], "-")):
        with pytest.raises(UsageError, match="standard input is closed"):
            check(inputs, files_from)


@pytest.mark.parametrize("extension", sorted(AUDIO_EXTENSIONS))
def test_each_extension_counts_in_a_folder(tmp_path: Path, extension: str) -> None:
    touch(tmp_path / f"x.{extension.upper()}")
    check([str(tmp_path)])
    assert len(list(expand([str(tmp_path)]))) == 1


def test_a_folder_without_audio_is_wrong_usage_that_names_it_and_the_extensions(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt", tmp_path / ".x.wav")
    for call in (check, lambda inputs: list(expand(inputs))):
        with pytest.raises(UsageError) as caught:
            call([str(tmp_path)])
        assert str(tmp_path) in caught.value.message
        assert caught.value.exit_code == 2
        assert "flac" in (caught.value.hint or "")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_a_failed_input(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.wav", tmp_path / "b.wav")
    (tmp_path / "a").chmod(0)
    try:
        closed, other = expand([str(tmp_path)])
    finally:
        (tmp_path / "a").chmod(0o700)
    assert "cannot be listed" in (closed.error or "")
    assert other.error is None


@pytest.mark.parametrize(
    ("inputs", "files_from", "word"),
    [
        ([], None, "no input"),
        (["a.wav", ""], None, "empty string"),
        (["-", "a.wav", "-"], None, "only once"),
        (["-"], "-", "only once"),
        ([], "no-such-list", "no-such-list"),
        ([], ".", "folder"),
        ([], "x\0y", "cannot be read"),
    ],
)
def test_wrong_usage_is_found_before_anything_runs(
    inputs: list[str], files_from: str | None, word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        check(inputs, files_from)


def test_good_inputs_pass_the_check(tmp_path: Path) -> None:
    touch(tmp_path / "deep" / "er" / "x.wav", tmp_path / "list")
    check([str(tmp_path), "-", "missing.wav"], str(tmp_path / "list"))
    check([], "-")


def test_a_list_that_is_empty_is_wrong_usage_only_without_other_inputs() -> None:
    with pytest.raises(UsageError, match="lists no input"):
        listed(b"\n\n")
    sources = expand(["a.wav"], files_from="-", stdin=io.BytesIO(b""))
    assert [source.path for source in sources] == ["a.wav"]


def test_lines_are_paths_as_they_stand() -> None:
    lines = b"\xef\xbb\xbfa.wav\r\n\n  \nsub/ b .wav\n-\nlast\xff.wav"
    paths = [source.path for source in listed(lines)]
    assert paths == ["a.wav", "sub/ b .wav", "./-", "last\udcff.wav"]
    assert os.fsencode(listed(lines)[-1].file) == b"last\xff.wav"


def test_null_separated_names_may_hold_anything() -> None:
    records = b'two\nlines.wav\0{"x"}.wav\0\0end.wav'
    assert [source.path for source in listed(records, null_separated=True)] == [
        "two\nlines.wav",
        '{"x"}.wav',
        "end.wav",
    ]


@given(
    st.lists(st.binary(min_size=1, max_size=9).filter(lambda name: b"\0" not in name), min_size=1),
    st.integers(1, 7),
)
def test_a_list_is_split_alike_however_it_arrives(names: list[bytes], size: int) -> None:
    class Trickle(io.BytesIO):
        def read1(self, count: int | None = -1) -> bytes:
            return super().read1(size)

    sources = list(expand([], files_from="-", null_separated=True, stdin=Trickle(b"\0".join(names))))
    assert [os.fsencode(source.path) for source in sources] == [b"./-" if n == b"-" else n for n in names]


def test_a_source_is_yielded_as_soon_as_its_line_is_there() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as stdin, open(writer, "wb", buffering=0) as out:  # noqa: PTH123
        writing = threading.Timer(30, out.close)  # so that a failure is no deadlock
        writing.start()
        sources = expand([], files_from="-", stdin=stdin)
        for name in ("one.wav", "two.wav"):
            out.write(f"{name}\n".encode())
            assert next(sources).path == name
        assert not out.closed
        writing.cancel()


def test_rows_are_read_relative_to_their_manifest(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": "clips/a.wav", "text": "hello", "duration": 2.5},
        {"audio_filepath": "/abs/b.wav", "offset": None, "duration": None},
        {"audio_filepath": "-"},
    ]
    first, second, dash = manifest(tmp_path, *rows)
    assert first == Source("clips/a.wav", tmp_path / "clips/a.wav", text="hello", announced=2.5)
    assert second == Source("/abs/b.wav", Path("/abs/b.wav"))
    assert (dash.path, dash.file) == ("./-", tmp_path / "-")


@pytest.mark.parametrize(
    ("keys", "offset", "duration"),
    [
        ({"duration": 3}, 0.0, None),
        ({"offset": 1.5}, 1.5, None),
        ({"offset": 1, "duration": 3.25}, 1.0, 3.25),
        ({"offset": 0, "duration": 3.25}, 0.0, 3.25),
    ],
)
def test_only_a_row_with_an_offset_is_cut(
    tmp_path: Path, keys: dict[str, float], offset: float, duration: float | None
) -> None:
    (source,) = manifest(tmp_path, {"audio_filepath": "a.wav", **keys})
    assert (source.offset, source.duration, source.error) == (offset, duration, None)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ('{"audio_filepath": "a.wav"', "delimiter"),
        ({"text": "x"}, "audio_filepath"),
        ({"audio_filepath": ""}, "audio_filepath"),
        ({"audio_filepath": 3}, "audio_filepath"),
        ({"audio_filepath": "a.wav", "offset": -1}, "offset"),
        ({"audio_filepath": "a.wav", "offset": "1"}, "offset"),
        ({"audio_filepath": "a.wav", "offset": True}, "offset"),
        ({"audio_filepath": "a.wav", "duration": -0.5}, "duration"),
        ({"audio_filepath": "a.wav", "duration": float("nan")}, "duration"),
        ({"audio_filepath": "a.wav", "offset": 10**400}, "too large"),
        ({"audio_filepath": "a.wav", "text": ["x"]}, "text"),
        ({"audio_filepath": "a.wav", "channel": 0.5}, "channel"),
        ('{"a":' * 100_000, "recursion"),
    ],
)
def test_a_bad_row_is_one_failed_source_and_the_rest_goes_on(tmp_path: Path, row: object, word: str) -> None:
    bad, good = manifest(tmp_path, "", row, "plain.wav")
    assert bad.path == f"{tmp_path}/manifest.jsonl:2"
    assert word in (bad.error or "")
    assert good == Source("plain.wav", Path("plain.wav"))


def test_a_channel_may_be_written_as_tables_have_it(tmp_path: Path) -> None:
    [source] = manifest(tmp_path, {"audio_filepath": "a.wav", "channel": 1.0})
    assert (source.channel, type(source.channel)) == (1, int)


def test_bytes_of_a_row_that_are_not_utf8_survive() -> None:
    (source,) = listed(b'{"audio_filepath": "caf\xe9.wav"}')
    assert os.fsencode(source.file) == b"caf\xe9.wav"


def test_numpy_is_not_imported() -> None:
    program = "import sys, sewcli.inputs.sources; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
