"""Apache Parquet: a table of one row, with the columns of the format json."""

from __future__ import annotations

import importlib.util
import io

from sewcli.errors import UsageError
from sewcli.results import Failure
from sewcli.writers import jsonl
from sewcli.writers.layout import Layout, Result


def require_pyarrow() -> None:
    """Raise UsageError unless pyarrow is installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("the format parquet needs pyarrow", hint="pip install 'sewcli[parquet]'")


def write(result: Result, layout: Layout) -> bytes:  # noqa: ARG001 - nothing is open
    """The whole file; settings are a column of JSON, since their keys depend on the decoder."""
    import pyarrow
    from pyarrow import parquet

    if isinstance(result, Failure):
        return b""
    row = jsonl.as_object(result)
    row["path"] = row["path"].encode("utf-8", "backslashreplace").decode()
    if "settings" in row:
        row["settings"] = jsonl.dump(row["settings"]).decode().strip()
    span = {"start": pyarrow.float64(), "end": pyarrow.float64(), "confidence": pyarrow.float64()}
    known_text = any("fits" in word for word in row.get("words", []))
    fits = {"fits": pyarrow.bool_()} if known_text else {}
    kinds = {
        "words": pyarrow.list_(pyarrow.struct({"word": pyarrow.string(), **span, **fits})),
        "chars": pyarrow.list_(pyarrow.struct({"char": pyarrow.string(), **span})),
        "model": pyarrow.struct({"id": pyarrow.string(), "revision": pyarrow.string()}),
    }
    table = pyarrow.table({key: pyarrow.array([value], kinds.get(key)) for key, value in row.items()})
    content = io.BytesIO()
    parquet.write_table(table, content)
    return content.getvalue()
