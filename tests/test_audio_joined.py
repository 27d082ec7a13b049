"""Files that hold several recordings one behind the other, and Ogg files that lost a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import failure, read, signal, written

from sewcli.audio import SAMPLE_RATE, ogg, read_blocks
from sewcli.errors import AudioError
from sewcli.inputs.source import Source

JOINABLE = [
    ("a.ogg", None, 44_100),
    ("a.opus", "OPUS", 48_000),
    ("a.mp3", None, 16_000),
    ("a.mp3", None, 44_100),
]


def pages(data: bytes) -> Iterator[bytes]:
    """The pages of an Ogg file."""
    position = 0
    while position < len(data):
        lengths = data[position + 27 : position + 27 + data[position + 26]]
        size = 27 + len(lengths) + sum(lengths)
        yield data[position : position + size]
        position += size


def two(folder: Path, name: str, subtype: str | None, rate: int) -> tuple[Path, Path]:
    first = written(folder / f"1{name}", rate, 2, subtype, seconds=3)
    second = folder / f"2{name}"
    samples = np.clip(signal(rate, 2, seconds=2)[::-1], -1, 1)
    container = "OGG" if subtype == "OPUS" else None
    soundfile.write(second, samples, rate, subtype, format=container)
    return first, second


class TestReadAsOne:
    @pytest.mark.parametrize("engine", ["soundfile", "librosa"])
    @pytest.mark.parametrize(("name", "subtype", "rate"), JOINABLE)
    def test_all_of_them(
        self, tmp_path: Path, name: str, subtype: str | None, rate: int, engine: str
    ) -> None:
        first, second = two(tmp_path, name, subtype, rate)
        joined = tmp_path / name
        joined.write_bytes(first.read_bytes() + second.read_bytes() + first.read_bytes())
        expected = np.concatenate([read(first), read(second), read(first)])
        found = read(joined, engine=engine)
        if rate == SAMPLE_RATE:
            np.testing.assert_array_equal(found, expected)
        else:  # resampled across the seams: only the samples around them differ
            assert len(found) == 8 * SAMPLE_RATE
            for seam in (3, 5):
                found[seam * SAMPLE_RATE - 300 : seam * SAMPLE_RATE + 300] = 0
                expected[seam * SAMPLE_RATE - 300 : seam * SAMPLE_RATE + 300] = 0
            np.testing.assert_allclose(found, expected, atol=1e-6)

    @pytest.mark.parametrize(("name", "subtype", "rate"), JOINABLE)
    def test_parts_across_a_seam(self, tmp_path: Path, name: str, subtype: str | None, rate: int) -> None:
        first, second = two(tmp_path, name, subtype, rate)
        joined = tmp_path / name
        joined.write_bytes(first.read_bytes() + second.read_bytes())
        whole = read(joined)
        found = np.concatenate(list(read_blocks(Source("x", joined, offset=2.5, duration=1.0))))
        expected = whole[int(2.5 * SAMPLE_RATE) : int(3.5 * SAMPLE_RATE)]
        np.testing.assert_allclose(found[300:-300], expected[300:-300], atol=1e-6)
        assert failure(Source("x", joined, offset=5.5)).code == "no_samples"

    @pytest.mark.parametrize(
        "between", [b"TAG" + bytes(125), b"APETAGEX" + bytes([0, 0, 0, 0, 40, 0, 0, 0]) + bytes(56)]
    )
    def test_mp3_with_tags_between(self, tmp_path: Path, between: bytes) -> None:
        first, second = two(tmp_path, "a.mp3", None, 16_000)
        id3 = b"ID3\x04\0\0\0\0\0\x14" + bytes(20)
        joined = tmp_path / "a.mp3"
        joined.write_bytes(id3 + first.read_bytes() + between + id3 + second.read_bytes() + between)
        np.testing.assert_array_equal(read(joined), np.concatenate([read(first), read(second)]))

    def test_mp3_whose_second_recording_does_not_say_its_length(self, tmp_path: Path) -> None:
        first, second = two(tmp_path, "a.mp3", None, 16_000)
        data = second.read_bytes()
        second.write_bytes(data[data.index(b"\xff\xf3", 4) :])
        joined = tmp_path / "a.mp3"
        joined.write_bytes(first.read_bytes() + second.read_bytes())
        np.testing.assert_array_equal(read(joined), np.concatenate([read(first), read(second)]))

    def test_an_ogg_file_without_audio_before_another(self, tmp_path: Path) -> None:
        first = written(tmp_path / "1.ogg", seconds=0)
        second = written(tmp_path / "2.ogg")
        (tmp_path / "a.ogg").write_bytes(first.read_bytes() + second.read_bytes())
        np.testing.assert_array_equal(read(tmp_path / "a.ogg"), read(second))

    def test_damage_in_the_second_is_found(self, tmp_path: Path) -> None:
        for name, subtype, rate in JOINABLE[:3]:
            first, second = two(tmp_path, name, subtype, rate)
            (tmp_path / name).write_bytes(first.read_bytes() + second.read_bytes()[:-2_000])
            assert failure(tmp_path / name).code == "damaged"


class TestLengthsOfMp3ThatAreWrong:
    """The bytes of a Xing header, which say where another recording may begin."""

    @pytest.mark.parametrize("short", [1, 2, 10])
    def test_too_few_bytes_cut_nothing(self, tmp_path: Path, short: int) -> None:
        file = tmp_path / "a.mp3"
        soundfile.write(file, signal(16_000, 1, 3), 16_000, bitrate_mode="CONSTANT", compression_level=0.5)
        expected, data = read(file), bytearray(file.read_bytes())
        tag = max(data.find(b"Xing"), data.find(b"Info"))
        size = int.from_bytes(data[tag + 12 : tag + 16], "big")
        frame = data.index(b"\xff\xf3", tag) - data.index(b"\xff\xf3")
        data[tag + 12 : tag + 16] = (size - short * frame).to_bytes(4, "big")
        file.write_bytes(data)
        np.testing.assert_array_equal(read(file), expected)


class TestNotReadAsOne:
    @pytest.mark.parametrize("rates", [(44_100, 16_000), (16_000, 44_100), (44_100, 48_000)])
    def test_mp3_of_another_rate(self, tmp_path: Path, rates: tuple[int, int]) -> None:
        files = [written(tmp_path / f"{rate}.mp3", rate, seconds=2) for rate in rates]
        (tmp_path / "a.mp3").write_bytes(b"".join(file.read_bytes() for file in files))
        error = failure(tmp_path / "a.mp3")
        assert error.code == "joined"
        assert f"another recording of {rates[1]} Hz" in error.message

    @pytest.mark.parametrize("rest", [b"Speex   1.2", b"\x80theora"])
    def test_a_second_stream_that_nobody_reads(self, tmp_path: Path, rest: bytes) -> None:
        file = written(tmp_path / "a.ogg")
        page = bytearray(b"OggS\0\2" + bytes(8) + b"\1\2\3\4" + bytes(8) + bytes([1, len(rest)]) + rest)
        page[22:26] = ogg._checksum(bytes(page))
        file.write_bytes(file.read_bytes() + page)
        error = failure(file)
        assert error.code == "joined"
        assert "and cannot be read" in error.message

    @pytest.mark.parametrize("engine", ["soundfile", "librosa"])
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.rf64"])
    def test_formats_that_are_not_made_for_it(self, tmp_path: Path, name: str, engine: str) -> None:
        data = written(tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data * 2)
        error = failure(tmp_path / name, engine=engine)
        assert error.code == "joined"
        assert f"begins at byte {len(data)}" in error.message

    @pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
    @pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (16_000, 2)])
    def test_of_another_rate_or_number_of_channels(
        self, tmp_path: Path, name: str, rate: int, channels: int
    ) -> None:
        subtype = "OPUS" if name == "a.opus" else None
        first = written(tmp_path / f"1{name}", 16_000, 1, subtype)
        second = written(tmp_path / f"2{name}", rate, channels, subtype)
        (tmp_path / name).write_bytes(first.read_bytes() + second.read_bytes())
        error = failure(tmp_path / name)
        assert error.code == "joined"
        assert f"another recording of {rate} Hz and {channels} channels begins at byte" in error.message

    @pytest.mark.parametrize(
        ("name", "subtype"),
        [
            ("a.w64", "PCM_16"),
            ("a.au", "PCM_16"),
            ("a.caf", "PCM_S8"),
            ("a.caf", "PCM_24"),
            ("a.caf", "FLOAT"),
        ],
    )
    @pytest.mark.parametrize("more", [0, 1, 2, 3])
    def test_more_formats_that_are_not_made_for_it(
        self, tmp_path: Path, name: str, subtype: str, more: int
    ) -> None:
        """Whatever the place where the first one ends, and whether it is filled up."""
        first, second = tmp_path / f"1{name}", tmp_path / f"2{name}"
        for file in (first, second):
            soundfile.write(file, np.zeros(9000 + more), 16_000, subtype)
        (tmp_path / name).write_bytes(first.read_bytes() + second.read_bytes())
        with pytest.raises(AudioError, match="another recording begins at byte") as caught:
            read(tmp_path / name)
        assert caught.value.code == "joined"

    def test_two_movies(self, tmp_path: Path) -> None:
        av = pytest.importorskip("av", reason="needs the extra media")
        with av.open(str(tmp_path / "one.m4a"), "w") as container:
            stream = container.add_stream("aac", rate=16_000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        content = (tmp_path / "one.m4a").read_bytes()
        (tmp_path / "a.m4a").write_bytes(content * 2)
        assert len(read(tmp_path / "one.m4a")) > 15_000
        with pytest.raises(AudioError, match=f"another recording begins at byte {len(content)}"):
            read(tmp_path / "a.m4a")

    @pytest.mark.parametrize("engine", ["soundfile", "librosa"])
    def test_a_chunk_behind_the_samples_of_w64_is_none_of_them(self, tmp_path: Path, engine: str) -> None:
        file, _ = two(tmp_path, "a.w64", "PCM_16", 16_000)
        expected = read(file)
        content = bytearray(file.read_bytes())
        content += b"levl" + content[44:56] + (24 + 4000).to_bytes(8, "little") + bytes([7]) * 4000
        content[16:24] = len(content).to_bytes(8, "little")
        file.write_bytes(content)
        np.testing.assert_array_equal(read(file, engine=engine), expected)

    def test_chunks_behind_the_samples_are_no_recording(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.wav")
        expected = read(file)
        file.write_bytes(file.read_bytes() + b"LIST\x04\0\0\0INFO" + b"junk\x05\0\0\0fLaC!\0")
        np.testing.assert_array_equal(read(file), expected)

    def test_flac_within_the_metadata_of_flac_is_no_recording(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.flac")
        expected, data = read(file), file.read_bytes()
        application = b"test" + data[:100]
        block = bytes([2]) + len(application).to_bytes(3, "big") + application
        file.write_bytes(data[:42] + block + data[42:])
        np.testing.assert_array_equal(read(file), expected)


class TestPagesOfOgg:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return written(tmp_path / "a.ogg", 16_000, 2, seconds=12)

    def test_a_lost_page(self, file: Path) -> None:
        found = list(pages(file.read_bytes()))
        file.write_bytes(b"".join(found[:4] + found[5:]))
        assert "a page is missing before the Ogg page at byte" in failure(file).message
        file.write_bytes(b"".join(found[:4] + found[6:]))
        assert "2 pages are missing before the Ogg page at byte" in failure(file).message

    def test_pages_in_another_order(self, file: Path) -> None:
        found = list(pages(file.read_bytes()))
        file.write_bytes(b"".join([*found[:5], found[4], *found[5:]]))
        assert "comes a second time or too late" in failure(file).message

    def test_a_description_over_several_pages_whose_writer_did_not_count_again(self, file: Path) -> None:
        """The pages on which nothing ends have the position -1, and are no audio."""
        expected, found = read(file), list(pages(file.read_bytes()))
        lengths = found[1][27 : 27 + found[1][26]]
        body = found[1][27 + len(lengths) :]
        # a comment packet of which the first page is full: 255 pieces of 255 bytes
        first = sum(1 for _ in lengths[: lengths.index(next(n for n in lengths if n < 255)) + 1])
        comment, rest = body[: sum(lengths[:first])], body[sum(lengths[:first]) :]
        padded = comment + bytes(255 * 300 - len(comment) + 7)
        numbers = iter((1, 2))

        def page(flags: int, position: bytes, laced: bytes, content: bytes) -> bytes:
            head = found[1][:4] + bytes([0, flags]) + position + found[1][14:18]
            head += next(numbers).to_bytes(4, "little") + bytes(4) + bytes([len(laced)]) + laced
            whole = bytearray(head + content)
            whole[22:26] = ogg._checksum(bytes(whole))
            return bytes(whole)

        pieces = bytes([255] * 300 + [7])
        one = page(0, b"\xff" * 8, pieces[:255], padded[: 255 * 255])
        two = page(1, bytes(8), pieces[255:] + lengths[first:], padded[255 * 255 :] + rest)
        file.write_bytes(b"".join([found[0], one, two, *found[2:]]))
        np.testing.assert_array_equal(read(file), expected)

    def test_a_stream_recorded_from_the_middle(self, file: Path) -> None:
        found = list(pages(file.read_bytes()))
        whole = read(file)
        file.write_bytes(b"".join(found[:2] + found[4:]))
        rest = read(file)
        assert 0 < len(rest) < len(whole)
        np.testing.assert_allclose(rest[4_000:], whole[-len(rest) :][4_000:], atol=1e-6)
