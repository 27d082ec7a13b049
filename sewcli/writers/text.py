"""Plain text: the transcript, or label and score, with the path in front where asked."""

from __future__ import annotations

import os

from sewcli.results import Classification, Failure, Transcript


def write(result: Transcript | Classification | Failure, *, with_path: bool) -> bytes:
    """One line (classify: one a label), UTF-8, the bytes of the path as they are on disk.

    A failure has no line: standard error tells it.
    """
    prefix = os.fsencode(result.path) + b"\t" if with_path else b""
    match result:
        case Transcript():
            lines = [result.text]
        case Classification():
            lines = [f"{label.label}\t{label.score:.4f}" for label in result.labels]
        case Failure():
            lines = []
    return b"".join(prefix + line.encode() + b"\n" for line in lines)
