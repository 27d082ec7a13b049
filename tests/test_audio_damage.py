"""Recordings that are empty, hold no samples or are damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audio_files import failure, posix, read, signal, written

import sewcli
from sewcli.audio import SAMPLE_RATE, read_blocks, reader
from sewcli.audio.decoding import decoding
from sewcli.errors import AudioError
from sewcli.inputs.source import Source


class TestNothingToRead:
    def test_no_such_file(self, tmp_path: Path) -> None:
        error = failure(tmp_path / "no.wav")
        assert error.code == "not_found"
        assert "no.wav: no such file" in error.message
        (tmp_path / "plain").touch()
        assert failure(tmp_path / "plain" / "x.wav").code == "not_found"
        assert failure(Path("a\0b.wav")).code == "not_found"
        assert failure(Path("a\ud800b.wav")).code == "not_found"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert failure(tmp_path).code == "is_directory"

    @posix
    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
        assert failure(tmp_path / "loop.wav").code == "unreadable"

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
    def test_permission_denied(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.wav")
        file.chmod(0)
        assert failure(file).code == "permission"

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").touch()
        assert failure(tmp_path / "a.wav").code == "empty_file"

    @pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "au", "snd", "raw", "txt", "caf"])
    def test_text_is_not_audio_whatever_its_name(self, tmp_path: Path, extension: str) -> None:
        file = tmp_path / f"a.{extension}"
        file.write_text("this is a text, and nobody reads it aloud\n" * 500)
        assert failure(file).code == "not_audio"

    def test_what_no_decoder_should_raise_is_the_failure_of_one_input(
        self, tmp_path: Path, ctc: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a library does that has another interface in a later version."""

        def opened(name: str, file: Path, *others: Any) -> Any:
            if file.name == "b.wav":
                raise TypeError("open() got an unexpected\nkeyword argument")
            return decoding(name, file, *others)

        monkeypatch.setattr(reader, "decoding", opened)
        files = [written(tmp_path / f"{name}.wav") for name in "abc"]
        before, failed, behind = sewcli.load(ctc).transcribe_many(files)
        assert isinstance(failed, sewcli.Failure)
        assert failed.code == "unexpected"
        assert "b.wav: unexpected error while it is read: TypeError: open() got an" in failed.message
        assert not isinstance(before, sewcli.Failure)
        assert not isinstance(behind, sewcli.Failure)

    def test_no_samples(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.wav", seconds=0)
        assert failure(file).code == "no_samples"

    def test_a_part_behind_the_end(self, tmp_path: Path) -> None:
        error = failure(Source("x", written(tmp_path / "a.wav"), offset=5))
        assert error.code == "no_samples"
        assert "ends at 1.300 s, before the offset of 5 s" in error.message
        assert failure(Source("x", tmp_path / "a.wav", offset=1e300, duration=1e300)).code == "no_samples"

    def test_a_source_that_is_an_error(self) -> None:
        error = failure(Source("m.jsonl:3", Path("m.jsonl:3"), error="not a row"))
        assert (error.code, error.message) == ("source", "m.jsonl:3: not a row")

    @posix
    def test_a_message_is_one_line_without_control_characters(self) -> None:
        error = failure(Path("two\nlines\x1b[31m.wav"))
        assert error.message.startswith(r"two\nlines\x1b[31m.wav: ")

    def test_the_hint_names_ffmpeg_where_it_is_missing(self, tmp_path: Path, without_ffmpeg: None) -> None:
        (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(99))
        (tmp_path / "b.bin").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(99))
        for name in ("a.m4a", "b.bin"):
            error = failure(tmp_path / name)
            assert error.code == "needs_ffmpeg"
            assert "install ffmpeg" in (error.hint or "")

    @pytest.mark.usefixtures("without_ffmpeg")
    def test_an_mp3_without_a_frame_is_told_in_one_line(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "a.mp3").write_bytes(bytes(20_000))
        assert failure(tmp_path / "a.mp3").code == "not_audio"
        assert capfd.readouterr() == ("", "")

    @pytest.mark.usefixtures("without_ffmpeg")
    def test_a_name_of_mp3_hides_no_other_container(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", np.zeros(9_000), 16_000, "PCM_U8")
        (tmp_path / "a.wav").rename(tmp_path / "a.mp3")
        assert sum(block.size for block in read_blocks(Source("a", tmp_path / "a.mp3"))) == 9_000

    @pytest.mark.usefixtures("without_ffmpeg")
    def test_text_is_not_audio_without_ffmpeg_too(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_text("text " * 99)
        assert failure(tmp_path / "a.wav").code == "not_audio"


class TestSamplesThatCannotBe:
    @pytest.mark.parametrize(
        ("value", "code", "word"),
        [(np.nan, "not_finite", "NaN"), (-np.inf, "not_finite", "infinite"), (1e30, "out_of_scale", "1e+30")],
    )
    @pytest.mark.parametrize("engine", ["soundfile", "librosa"])
    def test_the_error_says_where_they_are(
        self, tmp_path: Path, value: float, code: str, word: str, engine: str
    ) -> None:
        samples = signal(44_100, 2, seconds=5)
        samples[4 * 44_100 + 441, 1] = value
        soundfile.write(tmp_path / "a.wav", samples, 44_100, subtype="FLOAT")
        error = failure(tmp_path / "a.wav", engine=engine)
        assert error.code == code
        assert word in error.message
        assert "at 4.010 s" in error.message
        assert "at 4.010 s" in failure(Source("x", tmp_path / "a.wav", offset=3)).message

    def test_channels_that_cancel_out_do_not_hide_them(self, tmp_path: Path) -> None:
        samples = np.tile(np.float32([1e30, -1e30]), (16_000, 1))
        soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
        assert failure(tmp_path / "a.wav").code == "out_of_scale"

    def test_samples_beyond_full_scale_are_read(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", np.full(16_000, 9e3, np.float32), 16_000, subtype="FLOAT")
        assert read(tmp_path / "a.wav").max() == 9e3

    @pytest.mark.parametrize("rate", [999, 768_001])
    def test_sample_rates_out_of_range(self, tmp_path: Path, rate: int) -> None:
        soundfile.write(tmp_path / "a.wav", np.zeros(rate), rate)
        error = failure(tmp_path / "a.wav")
        assert error.code == "sample_rate"
        assert f"{rate} Hz" in error.message

    @pytest.mark.parametrize("rate", [1_000, 768_000])
    def test_sample_rates_in_range(self, tmp_path: Path, rate: int) -> None:
        soundfile.write(tmp_path / "a.wav", np.zeros(rate), rate)
        assert len(read(tmp_path / "a.wav")) == SAMPLE_RATE

    def test_the_least_a_model_can_read(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", np.zeros(160), 16_000)
        error = failure(tmp_path / "a.wav")
        assert error.code == "too_short"
        assert "too short: 10 ms; the models need 45 ms or more" in error.message
        soundfile.write(tmp_path / "a.wav", np.zeros(719), 16_000)
        assert failure(tmp_path / "a.wav").code == "too_short"
        soundfile.write(tmp_path / "a.wav", np.zeros(720), 16_000)
        assert len(read(tmp_path / "a.wav")) == 720


class TestDamage:
    FILES = (
        ("a.wav", None),
        ("a.rf64", None),
        ("a.flac", None),
        ("a.ogg", None),
        ("a.opus", "OPUS"),
        ("a.mp3", None),
        ("a.aiff", None),
        ("a.au", None),
        ("a.caf", None),
        ("a.w64", None),
    )

    @pytest.mark.parametrize("engine", ["soundfile", "librosa"])
    @pytest.mark.parametrize("kept", [0.3, 0.97])
    @pytest.mark.parametrize(("name", "subtype"), FILES)
    def test_a_cut_file_fails(
        self, tmp_path: Path, name: str, subtype: str | None, kept: float, engine: str
    ) -> None:
        file = written(tmp_path / name, 16_000, 2, subtype, seconds=4)
        assert len(read(file)) == 4 * SAMPLE_RATE
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
        assert failure(file, engine=engine).code == "damaged"

    @pytest.mark.usefixtures("without_ffmpeg")
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
    def test_a_file_cut_in_its_header_fails(self, tmp_path: Path, name: str) -> None:
        file = written(tmp_path / name)
        file.write_bytes(file.read_bytes()[:40])
        assert failure(file).code == "damaged"

    @pytest.mark.parametrize(
        ("name", "subtype"), [("a.flac", None), ("a.ogg", None), ("a.opus", "OPUS"), ("a.mp3", None)]
    )
    def test_noise_in_the_middle_of_a_file_fails(
        self, tmp_path: Path, name: str, subtype: str | None
    ) -> None:
        file = written(tmp_path / name, 16_000, 2, subtype, seconds=6)
        data = bytearray(file.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 2_000] = np.random.default_rng(0).bytes(2_000)
        file.write_bytes(data)
        assert failure(file).code == "damaged"

    @pytest.mark.parametrize("header", [True, False])
    def test_an_mp3_cut_or_blanked_in_a_frame_fails(self, tmp_path: Path, header: bool) -> None:
        """Whether or not its first frame says how long it is, which libmpg123 holds to in part alone."""
        file = written(tmp_path / "a.mp3", 16_000, 1, None, seconds=4)
        content = file.read_bytes() if header else file.read_bytes()[288:]
        whole = tmp_path / "whole.mp3"
        whole.write_bytes(content)
        assert len(read(whole)) >= 4 * SAMPLE_RATE
        for changed, told in (
            (content[:-10], "its last frame ends 10 bytes behind the end of the file"),
            (content[:6000] + bytes(600) + content[6600:], "between its frames are neither frames nor a tag"),
        ):
            file.write_bytes(changed)
            error = failure(file)
            assert error.code == "damaged"
            assert told in error.message

    @pytest.mark.parametrize(
        ("before", "behind"),
        [
            (b"", bytes(700)),
            (b"", b"TAG" + bytes(125)),
            (b"", b"LYRICSBEGIN of a song"),
            (b"ID3\4\0\x10" + bytes(3) + b"\x0a" + bytes(20), b""),
        ],
    )
    def test_what_lies_around_the_frames_of_an_mp3_is_no_fault(
        self, tmp_path: Path, before: bytes, behind: bytes
    ) -> None:
        file = written(tmp_path / "a.mp3", 16_000, 1, None, seconds=4)
        frames = read(file)
        file.write_bytes(before + file.read_bytes() + behind)
        assert abs(len(read(file)) - len(frames)) <= 1152

    @pytest.mark.parametrize("name", ["a.aiff", "a.caf", "a.w64"])
    def test_few_bytes_are_missed_where_no_writer_counts_its_header_as_audio(
        self, tmp_path: Path, name: str
    ) -> None:
        file = written(tmp_path / name, 16_000, 1, "PCM_16", seconds=1)
        file.write_bytes(file.read_bytes()[:-10])
        assert failure(file).code == "damaged"

    def test_a_chunk_of_more_bytes_than_files_have_is_damage(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.caf", 16_000, 1, "PCM_16", seconds=1)
        content = bytearray(file.read_bytes())
        place = content.index(b"desc") + 4
        content[place : place + 8] = (2**63 - 1).to_bytes(8, "big")
        file.write_bytes(content)
        assert failure(file).code == "damaged"

    def test_audio_before_the_damage_is_given_out(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.flac", seconds=12)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        blocks = read_blocks(Source("x", file))
        assert len(next(blocks)) > 0
        with pytest.raises(AudioError, match=r"decoding fails near \d"):
            list(blocks)

    def test_one_bit_of_an_ogg_file_is_enough(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.ogg")
        data = bytearray(file.read_bytes())
        data[-100] ^= 1
        file.write_bytes(data)
        assert "checksum" in failure(file).message

    def test_bytes_behind_the_last_ogg_page_are_no_damage(self, tmp_path: Path) -> None:
        file = written(tmp_path / "a.ogg")
        expected = read(file)
        file.write_bytes(file.read_bytes() + b"TAG" + bytes(200))
        np.testing.assert_array_equal(read(file), expected)
