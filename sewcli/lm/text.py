"""Reading text: files of UTF-8, packed by gzip or not, and standard input."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from sewcli.errors import UsageError
from sewcli.inputs.standard_input import standard_input
from sewcli.lm.arpa import open_text


def read_lines(name: str) -> Iterator[str]:
    """The lines of a file, or of standard input for "-".

    Raises:
        UsageError: it cannot be read, is cut or is not UTF-8; the line is named.
    """
    number = 0
    try:
        stream = standard_input() if name == "-" else open_text(Path(name))
        with stream:
            for number, line in enumerate(stream, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}:{number}: the line is not UTF-8", hint="convert it, with iconv") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name}: the text cannot be read: {reason}") from error
