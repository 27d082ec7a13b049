"""Types of the settings of a recipe: each says which values TOML may give it."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from sewcli.errors import UsageError

#: the lowest factor by which a clip is slowed down and the highest by which it is sped up
_SPEEDS = (0.1, 10.0)


@dataclass(frozen=True)
class Rule:
    """What a setting may be.

    Attributes:
        holds: of a value as TOML has it.
        wanted: the same in words.
        is_data: whether it is a path relative to the data.
    """

    holds: Callable[[Any], bool]
    wanted: str
    is_data: bool = False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(holds(item) for item in value)


def _is_speed(value: Any) -> bool:
    return _is_number(value) and _SPEEDS[0] <= value <= _SPEEDS[1]


def _is_range(value: Any, holds: Callable[[Any], bool]) -> bool:
    return _is_list(value, holds) and len(value) == 2 and value[0] <= value[1]


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_whole(times) and times >= 1 for times in value.values())


def choice(*words: str) -> Rule:
    """One of these words."""
    return Rule(lambda value: value in words, " or ".join(words))


SHARE = Rule(lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1")
_TEXT = Rule(_is_text, "a string")
_DATA_PATH = Rule(_is_text, "a string", is_data=True)
_PACE = f"from {_SPEEDS[0]:g} to {_SPEEDS[1]:g}"

Count = Annotated[int, Rule(lambda value: _is_whole(value) and value >= 1, "a whole number from 1 up")]
CountOrZero = Annotated[int, Rule(lambda value: _is_whole(value) and value >= 0, "a whole number from 0 up")]
Seed = Annotated[
    int, Rule(lambda value: _is_whole(value) and 0 <= value < 1 << 31, "a whole number from 0 to 2^31 - 1")
]
Positive = Annotated[
    float, Rule(lambda value: _is_number(value) and 0 < value < math.inf, "a number above 0")
]
NotNegative = Annotated[
    float, Rule(lambda value: _is_number(value) and 0 <= value < math.inf, "a number from 0 up")
]
Share = Annotated[float, SHARE]
Flag = Annotated[bool, Rule(lambda value: isinstance(value, bool), "true or false")]
Text = Annotated[str, _TEXT]
OptionalText = Annotated[str | None, _TEXT]
OptionalPath = Annotated[Path | None, _DATA_PATH]
Paths = Annotated[
    tuple[Path, ...],
    Rule(
        lambda value: _is_text(value) or _is_list(value, _is_text), "a path or a list of paths", is_data=True
    ),
]
Table = Annotated[dict[str, Any], Rule(lambda value: isinstance(value, dict), "a table")]
Counts = Annotated[dict[str, int], Rule(_are_counts, "a table of whole numbers from 1 up")]
Speeds = Annotated[
    tuple[float, ...], Rule(lambda value: _is_list(value, _is_speed), f"a list of factors {_PACE}")
]
SpeedRange = Annotated[
    tuple[float, float],
    Rule(lambda value: _is_range(value, _is_speed), f"a list of the least and the greatest factor, {_PACE}"),
]
Range = Annotated[
    tuple[float, float],
    Rule(lambda value: _is_range(value, _is_number), "a list of the least and the greatest number"),
]


def rules_of(settings: type) -> dict[str, Rule]:
    """The rule of each field of a dataclass whose types are those of this module."""
    hints = typing.get_type_hints(settings, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def check_setting(key: str, value: Any, rule: Rule) -> None:
    """Refuse a value that a rule does not allow (UsageError)."""
    if not rule.holds(value):
        raise UsageError(f"{key} is {value!r}; it must be {rule.wanted}")
