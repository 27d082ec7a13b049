"""Draws a recording: waveform, mel spectrogram, words under it, probabilities of labels over time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.pictures.overview import Overview
from sewcli.pictures.trace import Trace
from sewcli.results import Span

#: seconds of one row of a picture, and rows at the most: longer recordings get longer rows
ROW_SECONDS = 15.0
MOST_ROWS = 20
#: labels drawn over time at the most, the ones that score highest
MOST_LABELS = 6
_WIDTH = 14.0
#: width of a character of a word as a part of the row, and rows of words that may lie above each other
_CHARACTER = 0.0068
_LEVELS = 3


def require_matplotlib(what: str = "--plot", instead: str = "") -> Any:
    """The class Figure of matplotlib, which draws without a display.

    Args:
        what: is to be drawn.
        instead: what to do without it, after how to install it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            f"{what} needs matplotlib, which is not installed", hint=f"pip install 'sewcli[plot]'{instead}"
        ) from error
    return Figure


def rows_of(seconds: float) -> int:
    """How many rows a recording is drawn in."""
    return max(1, min(MOST_ROWS, -(-int(seconds) // int(ROW_SECONDS))))


def draw(
    view: Overview,
    *,
    offset: float,
    title: str,
    words: Sequence[Span] = (),
    trace: Trace | None = None,
) -> bytes:
    """A picture as PNG.

    Args:
        view: of the sound.
        offset: where in its file it begins, in seconds.
        title: above the picture.
        words: to write under the spectrogram.
        trace: to draw under it.
    """
    figure_class = require_matplotlib()
    from matplotlib import ticker

    rows = rows_of(view.seconds)
    panels = [1.0, 1.6] + ([0.9] if words else []) + ([1.4] if trace is not None else [])
    figure = figure_class(figsize=(_WIDTH, rows * (0.75 * sum(panels) + 0.45) + 0.5), layout="constrained")
    # the space between panels is a share of the height of all rows otherwise
    figure.get_layout_engine().set(hspace=0.0, h_pad=0.04)
    figure.suptitle(_printable(title), fontsize=10)
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    length = view.seconds / rows
    dropped = 0
    for number, part in enumerate(parts):
        start = number * length
        axes = part.subplots(len(panels), 1, sharex=True, height_ratios=panels, squeeze=False)[:, 0]
        _sound(axes[0], axes[1], view, offset, start, start + length)
        left = 2
        if words:
            dropped += _words(axes[left], words, offset + start, length)
            left += 1
        if trace is not None:
            _trace(axes[left], trace, legend=number == 0)
        for axis in axes:
            axis.set_xlim(offset + start, offset + start + length)
            axis.tick_params(labelsize=7)
        # specshow takes the ticks of the axis they share away
        axes[-1].xaxis.set_major_locator(ticker.AutoLocator())
        axes[-1].xaxis.set_major_formatter(ticker.FuncFormatter(lambda second, _: f"{second:g}"))
        axes[-1].set_xlabel("s", fontsize=8, labelpad=0)
    if dropped:
        parts[-1].supxlabel(f"{dropped} of {len(words)} words have no room here", fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()


def _sound(wave: Any, spectrogram: Any, view: Overview, offset: float, start: float, stop: float) -> None:
    import librosa.display

    step = view.step
    first, last = int(start / step), min(view.low.size, int(np.ceil(stop / step)) + 1)
    times = offset + (np.arange(first, last) + 0.5) * step
    wave.fill_between(times, view.low[first:last], view.high[first:last], linewidth=0.3, color="#3b6ea5")
    wave.set_ylabel("level", fontsize=8)
    librosa.display.specshow(  # type: ignore[attr-defined]
        view.mel[:, first:last],
        x_coords=times,
        y_axis="mel",
        sr=SAMPLE_RATE,
        ax=spectrogram,
        cmap="magma",
        vmin=float(view.mel.min()),
        vmax=float(view.mel.max()),
    )
    spectrogram.set(xlabel="")
    spectrogram.set_ylabel("Hz", fontsize=8)


def _words(axis: Any, words: Sequence[Span], start: float, length: float) -> int:
    """Write words where they were said, each in the first level that has room; how many have none."""
    axis.set(ylim=(0, _LEVELS), yticks=[])
    axis.set_ylabel("words", fontsize=8)
    free = [start - length] * _LEVELS
    dropped = 0
    for word in words:
        if not start <= word.start < start + length:
            continue
        colour = "#b03030" if word.fits is False else "black"
        axis.axvspan(word.start, word.end, color="#d8e4f0", linewidth=0)
        text = _printable(word.text)
        width = len(text) * _CHARACTER * length
        # at the end of a row a word that would be cut stands further to the left
        left = max(start, min(word.start, start + length - width))
        level = next((n for n in range(_LEVELS) if free[n] <= left), None)
        if level is None:
            dropped += 1
            continue
        free[level] = left + width + _CHARACTER * length
        # what reaches beyond the row must not make it narrower than others
        axis.text(left, _LEVELS - level - 0.5, text, fontsize=8, va="center", color=colour, in_layout=False)
    return dropped


def _trace(axis: Any, trace: Trace, *, legend: bool) -> None:
    peaks = trace.values.max(axis=0)
    for label in np.argsort(-peaks, kind="stable")[:MOST_LABELS]:
        name = _printable(trace.labels[label])
        # a legend leaves out names that begin with an underscore
        shown = f"({name.strip('_')})" if name.startswith("_") else name
        axis.plot(trace.times, trace.values[:, label], linewidth=1.2, label=shown)
    axis.axhline(trace.threshold, linewidth=0.6, linestyle="--", color="grey")
    axis.set_ylim(0, 1.02)
    axis.set_ylabel("probability", fontsize=8)
    if legend:
        axis.legend(
            fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=MOST_LABELS, borderaxespad=0.1
        )


def _printable(text: str) -> str:
    """A text that any font can show: "$" would begin a formula, and no glyph stands for half a surrogate."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown.encode("utf-8", "replace").decode().replace("$", r"\$")
