"""Options of the command line that change nothing beside the others: one table for all commands.

An option of the environment or of a file of settings may be meant for another command, and is passed over.
What cannot work at all is an error of the command that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from sewcli.cli.preferred import likely_model
from sewcli.decoding.options import OF_LANGUAGE_MODEL, OF_SEARCH, DecodingOptions, with_defaults
from sewcli.errors import SewError
from sewcli.inputs.folders import is_folder
from sewcli.inputs.source import STDIN
from sewcli.model_defaults import OptionDefaults
from sewcli.writers import formats_for

Values = Mapping[str, Any]
"""The parameters of a command by name."""

_SEARCH = (*OF_SEARCH, "decode_workers")
_HOTWORDS = ("hotword", "hotwords_file", "hotword_weight")
_DECODING = ("decoder", "lm", "unigrams", *OF_LANGUAGE_MODEL, *_SEARCH, *_HOTWORDS)
_VAD = ("vad_threshold", "vad_silence", "vad_padding")
_CUES = ("max_chars", "max_lines", "max_gap", "max_duration")
_CHUNKS = ("chunk", "stride", "statistics")
_NETWORK = (
    *("model", "revision", "device", "dtype", "threads", "compile", "batch_seconds", "read_workers"),
    *("offline", "engine"),
)

#: what formats hold, for options that only some of them have a use for; tests hold it against the writers
WITH_CUES = frozenset({"srt", "vtt", "tsv", "csv", "lrc", "verbose_json"})
WITH_CHARACTERS = frozenset({"json", "textgrid", "parquet"})
WITH_ALTERNATIVES = frozenset({"json", "parquet"})
WITH_OPTIONAL_PATH = frozenset({"text", "tsv", "verbose_json"})
WITHOUT_TIMES = frozenset({"text", "stm", "trn"})


#: options of which one says the opposite of the other
_OPPOSITE = (
    ("with_path", "no_path"),
    ("overwrite", "resume"),
    ("quiet", "verbose"),
    ("quiet", "debug"),
    ("no_progress", "progress"),
    ("text", "text_file"),
)


class _Rule(NamedTuple):
    """Options have no effect, for a reason, when `holds(values)`; in one command, or in all if that is ""."""

    options: tuple[str, ...]
    reason: str
    holds: Callable[[Values], bool]
    command: str = ""


def idle_options(context: Any) -> Iterator[str]:
    """A line for each option of the command line that has no effect.

    Args:
        context: of a command whose command line has been read.
    """
    given = [
        parameter
        for parameter in context.command.params
        if (source := context.get_parameter_source(parameter.name)) and source.name == "COMMANDLINE"
    ]
    values = context.params | {"formats": _formats(context)}
    for parameter in given:
        for rule in _RULES:
            ours = rule.command in ("", context.info_name) and parameter.name in rule.options
            if ours and rule.holds(values):
                yield f"{max(parameter.opts, key=len)} has no effect {rule.reason}"
                break


def pass_over(context: Any) -> None:
    """Give options of the environment and of files their defaults where they cannot count.

    The command could only refuse them, or the command line has their opposite.

    Args:
        context: of a command whose command line has been read.
    """
    values = context.params
    sources = {one.name: context.get_parameter_source(one.name) for one in context.command.params}
    given = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
    if {"with_path", "no_path"} <= given:
        # as with grep, the last one counts: click has them in the order of the command line
        values[next(name for name in values if name in ("with_path", "no_path"))] = False
    if values.get("decoder") == "greedy" and "lm" in values:
        if "decoder" in given:
            values |= dict.fromkeys({"lm", "unigrams"} - given)
        elif "lm" in given:
            values["decoder"] = None
    writable = _WRITABLE.get(context.info_name)
    for parameter in context.command.params:
        name, source = parameter.name, sources[parameter.name]
        if source is None or source.name not in ("ENVIRONMENT", "DEFAULT_MAP"):
            continue
        if any(name in options and holds(values) for options, holds in _REFUSED):
            values[name] = parameter.default
        if any(name in pair and given.intersection(pair) for pair in _OPPOSITE):
            values[name] = parameter.default
        if name == "formats" and writable is not None and values[name]:
            fitting = [form for form in values[name] if form in writable]
            values[name] = fitting[: 1 if context.info_name in _ONE_FORMAT else None] or None
        if name == "formats" and len(values[name] or ()) > 1 and "output" in values and not values["output"]:
            values[name] = values[name][:1]  # several need a directory
        if values[name] == _UNTAKEN.get((context.info_name, name)):
            values[name] = parameter.default


def _formats(context: Any) -> frozenset[str]:
    """The formats of -f, or the default of the command."""
    default = "json" if context.info_name == "align" else "text"
    return frozenset(context.params.get("formats") or [default])


def _formats_of(values: Values) -> frozenset[str]:
    formats: frozenset[str] = values["formats"]
    return formats


def _none_of(*names: str) -> Callable[[Values], bool]:
    """Whether none of these options is given."""
    return lambda values: not any(values.get(name) for name in names)


def _given(name: str) -> Callable[[Values], bool]:
    return lambda values: bool(values.get(name))


def _no_format_of(formats: frozenset[str]) -> Callable[[Values], bool]:
    return lambda values: _formats_of(values).isdisjoint(formats)


def _is_greedy(values: Values) -> bool:
    if "decoder" not in values:  # tune-lm always searches
        return False
    given = {name: values[name] for name in ("decoder", "lm")}
    # logits of sew decode have no model that could have defaults
    defaults = _defaults(values["model"]) if "model" in values else None
    return not DecodingOptions(**with_defaults(given, defaults)).is_beam


def _defaults(model: str | None) -> OptionDefaults | None:
    """Of the options, for a model that transcribes; None where it cannot be found, which the command says."""
    try:
        return likely_model(model, "ctc").defaults_for("ctc")
    except SewError:
        return None


def _without_use_of_times(values: Values) -> bool:
    unasked = values["timestamps"] == "none" or bool(values.get("plot"))
    return not unasked and not _formats_of(values) - WITHOUT_TIMES


def _without_characters(values: Values) -> bool:
    is_char: bool = values["timestamps"] == "char"
    return is_char and _formats_of(values).isdisjoint(WITH_CHARACTERS)


def _without_folder(values: Values) -> bool:
    return not any(map(is_folder, values["inputs"] or ()))


def _writes_no_file(values: Values) -> bool:
    # what `sew models add` replaces is no file
    writing = ("output", "save_logits", "plot", "stack", "failures")
    return "output" in values and not any(map(values.get, writing))


def _resumes_alone(values: Values) -> bool:
    return bool(values.get("resume")) and not values.get("failures")


def _is_manifest(values: Values) -> bool:
    return not str(values["source"]).endswith(".toml")


#: what commands refuse without the others
_REFUSED: tuple[tuple[tuple[str, ...], Callable[[Values], bool]], ...] = (
    (("hotword", "hotwords_file", "n_best"), _is_greedy),
    (("unigrams",), _none_of("lm")),
    (("raw_rate", "raw_format", "raw_channels"), lambda values: STDIN not in (values["inputs"] or ())),
    (("resume", "output_template"), _none_of("output")),
)
#: formats of the commands that do not have them all
_WRITABLE = {
    "classify": formats_for("labels"),
    "align": formats_for("alignment"),
    "embed": formats_for("features"),
    "evaluate": formats_for("labels"),
    "tune-lm": formats_for("labels"),
}
#: commands that write one alone
_ONE_FORMAT = ("evaluate", "tune-lm")
#: values that other commands have for an option of theirs
_UNTAKEN = {("align", "timestamps"): "none", ("build", "case"): "sentence"}
_NO_MODEL = (*_NETWORK, *_DECODING, *_CHUNKS, "audio_engine", "vad", *_VAD, "others")
#: the first that holds is told
_RULES = (
    _Rule(_NO_MODEL, "with --compare", _given("compare"), "evaluate"),
    _Rule(_NO_MODEL, "with --results", _given("results"), "evaluate"),
    _Rule((*_DECODING, *_CHUNKS, "normalizer", "others"), "with --window", _given("window"), "evaluate"),
    _Rule(("read_workers",), "with --window", _given("window")),
    _Rule(("resamples", "seed", "metric"), "without --compare", _none_of("compare"), "evaluate"),
    _Rule(("overwrite",), "without --table or --confusion", _none_of("table", "confusion"), "evaluate"),
    _Rule(("overwrite",), "without -o or --stack", _none_of("output", "stack", "failures"), "embed"),
    _Rule(("overwrite",), "without -o", _writes_no_file),
    _Rule(("overwrite",), "with --resume", _resumes_alone),
    _Rule(("data",), "with clips, whose paths are their own", _is_manifest, "train"),
    _Rule(_VAD, "without --vad", _none_of("vad")),
    _Rule(OF_LANGUAGE_MODEL, "without --lm", _none_of("lm")),
    _Rule(_SEARCH, "without --decoder beam", _is_greedy),
    _Rule(("hotword_weight",), "without --hotword", _none_of("hotword", "hotwords_file")),
    _Rule(("n_best",), "without -f json or parquet", _no_format_of(WITH_ALTERNATIVES)),
    _Rule(_CUES, f"without -f {', '.join(sorted(WITH_CUES))}", _no_format_of(WITH_CUES)),
    _Rule(("timestamps",), "without a format that has times", _without_use_of_times),
    _Rule(("timestamps",), f"as char without -f {', '.join(sorted(WITH_CHARACTERS))}", _without_characters),
    _Rule(("failures",), "with --dry-run", _given("dry_run")),
    _Rule(("with_path", "no_path"), "with -o", _given("output")),
    _Rule(
        ("with_path", "no_path"),
        f"without -f {', '.join(sorted(WITH_OPTIONAL_PATH))}",
        _no_format_of(WITH_OPTIONAL_PATH),
    ),
    _Rule(("null",), "without --files-from", _none_of("files_from")),
    _Rule(("include", "exclude"), "without a directory as input", _without_folder),
)
