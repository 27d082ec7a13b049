"""What options are for one model where they are not given: keys of its entry in a models.toml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE, ChunkPlan


@dataclass(frozen=True)
class OptionDefaults:
    """What options are for a model where they are not given; None where they are what they are for any.

    Attributes:
        chunk, stride: in seconds.
        decoder: "greedy" or "beam".
        beam_width, alpha, beta: see `sewcli.decoding.options.DecodingOptions`.
    """

    chunk: float | None = None
    stride: float | None = None
    decoder: str | None = None
    beam_width: int | None = None
    alpha: float | None = None
    beta: float | None = None

    def chunk_seconds(self, chunk: float | None, stride: float | None) -> tuple[float, float]:
        """Chunk and stride in seconds, where what is not given is None."""
        pairs = ((chunk, self.chunk, DEFAULT_CHUNK), (stride, self.stride, DEFAULT_STRIDE))
        first, second = (next(one for one in pair if one is not None) for pair in pairs)
        return first, second

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The keys that an entry of models.toml may have."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> OptionDefaults:
        """Those of an entry, whose other keys are passed over (ValueError where no option takes a value)."""
        found = {name: table[name] for name in cls.names() if name in table}
        for name, value in found.items():
            is_number = type(value) in (int, float) and math.isfinite(value)
            is_good = {
                "chunk": is_number and value > 0,
                "stride": is_number and value >= 0,
                "decoder": value in ("greedy", "beam"),
                "beam_width": is_number and isinstance(value, int) and value >= 1,
            }.get(name, is_number)
            if not is_good:
                raise ValueError(f"{name} has to be what --{name.replace('_', '-')} takes, not {value!r}")
        made = cls(**found)
        if made.chunk is not None or made.stride is not None:
            ChunkPlan.from_seconds(*made.chunk_seconds(None, None))
        return made
