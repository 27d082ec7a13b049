"""The confusion matrix of a classifier: which label was taken for which."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

from sewcli.errors import UsageError
from sewcli.pictures.draw import require_matplotlib

FORMATS = (".csv", ".png")
#: labels up to which the counts are printed into the cells
_READABLE = 40


class Confusion:
    """Counts of (label, answer) pairs; the labels are those that occur as either, sorted."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()

    def add(self, label: str, answer: str) -> None:
        """Count a clip."""
        self.pairs[label, answer] += 1

    @property
    def labels(self) -> list[str]:
        """All labels, in the order of rows and columns."""
        return sorted({name for pair in self.pairs for name in pair})

    def rows(self) -> list[list[int]]:
        """Counts: one row a label of the manifest, one column an answer."""
        names = self.labels
        return [[self.pairs[label, answer] for answer in names] for label in names]

    def by_label(self) -> dict[str, dict[str, float | None]]:
        """clips, precision, recall and f1 of each label; None without a clip that got, or that has it."""
        said, answered = Counter[str](), Counter[str]()
        for (label, answer), count in self.pairs.items():
            said[label] += count
            answered[answer] += count
        found = {}
        for name in self.labels:
            right = self.pairs[name, name]
            found[name] = {
                "clips": said[name],
                "precision": right / answered[name] if answered[name] else None,
                "recall": right / said[name] if said[name] else None,
                "f1": 2 * right / (said[name] + answered[name]),
            }
        return found

    def macro_f1(self) -> float | None:
        """The mean of f1 over all labels that occur; None without a clip."""
        found = [scores["f1"] or 0.0 for scores in self.by_label().values()]
        return sum(found) / len(found) if found else None

    def write(self, form: str) -> bytes:
        """The matrix as a file of `form`, ".csv" or ".png" (UsageError: matplotlib is not installed)."""
        return self._csv() if form == ".csv" else self._png()

    def _csv(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["label \\ answer", *self.labels])
        writer.writerows([label, *row] for label, row in zip(self.labels, self.rows(), strict=True))
        return text.getvalue().encode()

    def _png(self) -> bytes:
        """Colour tells the share of the row; the numbers are counts."""
        figure_class = _require_matplotlib()
        names, rows = self.labels, self.rows()
        shares = [[count / max(1, sum(row)) for count in row] for row in rows]
        side = max(3.5, 0.38 * len(names))
        figure = figure_class(figsize=(side + 2.2, side + 1.6), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="answer", ylabel="label")
        correct, total = sum(self.pairs[name, name] for name in names), sum(self.pairs.values())
        axes.set_title(f"{correct} of {total} right ({100 * correct / max(1, total):.1f} %)")
        figure.colorbar(image, label="share of the label's clips", shrink=0.8)
        if len(names) <= _READABLE:
            _print_counts(axes, rows, shares)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=150)
        return content.getvalue()


def check_target(file: Path) -> None:
    """Refuse a file for the matrix that cannot be written, before anything runs (UsageError)."""
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"{file}: a confusion matrix is written to a file that ends in .csv or .png")
    if file.suffix.lower() == ".png":
        _require_matplotlib()


def _require_matplotlib() -> Any:
    return require_matplotlib("a matrix as .png", instead=", or name a .csv file")


def _print_counts(axes: Any, rows: list[list[int]], shares: list[list[float]]) -> None:
    for y, row in enumerate(rows):
        for x, count in enumerate(row):
            if count:
                colour = "white" if shares[y][x] > 0.5 else "black"
                axes.text(x, y, str(count), ha="center", va="center", fontsize=7, color=colour)
