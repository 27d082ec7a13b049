"""What a command reads: its options on inputs, made into sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sewcli.errors import UsageError
from sewcli.inputs.folders import is_folder
from sewcli.inputs.packed import Packed
from sewcli.inputs.parts import Window
from sewcli.inputs.raw import RawAudio
from sewcli.inputs.selection import Selection
from sewcli.inputs.source import STDIN, Source
from sewcli.inputs.sources import check, expand
from sewcli.inputs.urls import is_url
from sewcli.temporary import temporary_directory


@dataclass(frozen=True)
class InputOptions:
    """What to read.

    Attributes:
        text: what is said in every input, or None; a manifest has the text of each.
        offline: refuse addresses that need the network.
        raw_rate, raw_format, raw_channels: of samples without a header on standard input.
        copies: temporary files of what can be read only once; closed at the end of the run.
        listed: all inputs, where they are known already.
        beside: files that are read beside the inputs and the list, as of hotwords.
    """

    inputs: Sequence[str]
    files_from: str | None
    null_separated: bool
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    channel: str = "mix"
    text: str | None = None
    offline: bool = False
    raw_rate: int | None = None
    raw_format: str | None = None
    raw_channels: int | None = None
    copies: ExitStack = field(default_factory=ExitStack)
    listed: Packed | None = None
    beside: tuple[Path, ...] = ()

    @property
    def named(self) -> list[str]:
        """The files and directories that are named, and the list."""
        places = [*self.inputs, *([self.files_from] if self.files_from else [])]
        return [place for place in places if place != STDIN and not is_url(place)]

    @property
    def read_too(self) -> list[Path]:
        """The files that are read beside the inputs, with the list."""
        if self.files_from is None or self.files_from == STDIN:
            return [*self.beside]
        return [Path(self.files_from), *self.beside]

    def check(self) -> None:
        """Refuse inputs that cannot work, before a model is loaded (UsageError)."""
        if self.channel not in ("mix", "split") and not self._one_channel:
            raise UsageError(
                f"--channel {self.channel}: no channel", hint="give mix, split, or a number from 0"
            )
        self._check_raw()
        Window.parse(self.start, self.end)
        check(self.inputs, self.files_from, self._selection, offline=self.offline)

    def at_once(self) -> InputOptions:
        """The same with all inputs listed, so that they can be gone through several times."""
        return replace(self, listed=Packed(self.sources()))

    def _check_raw(self) -> None:
        for option, value in (("--raw-format", self.raw_format), ("--raw-channels", self.raw_channels)):
            if value is not None and self.raw_rate is None:
                raise UsageError(f"{option} needs the sample rate", hint="add --raw-rate")
        if self.raw_rate is not None and STDIN not in self.inputs:
            raise UsageError(
                "--raw-rate is for samples on standard input",
                hint="name - as an input: sew transcribe - --raw-rate 16000 < FILE",
            )

    def sources(self) -> Iterator[Source]:
        """The inputs, in order."""
        if self.listed is not None:
            return iter(self.listed)
        named = expand(
            self.inputs,
            files_from=self.files_from,
            null_separated=self.null_separated,
            selection=self._selection,
        )
        if self.raw_rate is not None:
            raw = RawAudio(self.raw_rate, self.raw_format or "s16le", self.raw_channels or 1)
            named = (replace(source, raw=raw) if source.is_stdin else source for source in named)
        parts = Window.parse(self.start, self.end).cut(named)
        if self.text is not None:
            parts = (replace(part, text=self.text) for part in parts)
        if self.channel == "split":
            from sewcli.audio import channels_apart

            return channels_apart(parts, self.copies)
        if self._one_channel:
            channel = int(self.channel)  # rows of --failures have theirs
            return (part if part.channel is not None else replace(part, channel=channel) for part in parts)
        return parts

    @property
    def _selection(self) -> Selection:
        return Selection(self.include, self.exclude)

    @property
    def _one_channel(self) -> bool:
        return self.channel.isascii() and self.channel.isdigit()

    @property
    def total(self) -> int | None:
        """How many results there will be, where that is plain without looking into directories and files."""
        plain = self.files_from is None and self.channel != "split"
        return len(self.inputs) if plain and not any(map(is_folder, self.inputs)) else None

    @property
    def channels_apart(self) -> bool:
        """Whether a recording may have a result for each of its channels."""
        if self.listed is None:
            return self.channel == "split"
        channels = {(source.path, source.channel) for source in self.listed}
        return self.channel == "split" or len(channels) > len({path for path, _ in channels})

    @property
    def one_file(self) -> bool:
        """Whether there can be only one result."""
        return self.one_input and self.channel != "split"

    @property
    def one_input(self) -> bool:
        """Whether there is only one recording, though perhaps a result for each of its channels."""
        return self.files_from is None and len(self.inputs) == 1 and not is_folder(self.inputs[0])


def unpacked(context: Any, path: Path) -> Path:
    """A directory for the clips of a saved data set, which goes with the command; a manifest needs none."""
    return context.with_resource(temporary_directory()) if path.is_dir() else path
