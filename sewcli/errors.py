"""What can go wrong, each with the exit code and the hint the command line shows.

SewError                 1   a bug, or anything not named below
├── UsageError           2   wrong option, bad value, nothing to do, extra not installed
├── InputError           3/4 one input has failed; the run goes on
│   └── AudioError           ... because its audio cannot be used
├── ModelError           5   model or alias not available, damaged or of the wrong kind
└── DeviceError          6   no such device, or out of memory
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_ALL_FAILED = 4
EXIT_MODEL = 5
EXIT_DEVICE = 6
EXIT_INTERRUPTED = 130


class SewError(Exception):
    """Base of every error the project raises on purpose.

    Attributes:
        message: one sentence that says what is wrong, naming the thing it is about.
        hint: what to do next, or None.
        code: a short stable identifier, used in JSON error objects.
        exit_code: the exit code of a command that ends because of it.
    """

    code = "unexpected"
    exit_code = EXIT_UNEXPECTED

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(SewError, ValueError):
    """The command was called in a way that cannot work."""

    code = "usage"
    exit_code = EXIT_USAGE


class InputError(SewError):
    """One input has failed; the others are not affected."""

    code = "input"
    exit_code = EXIT_ALL_FAILED


class AudioError(InputError, OSError):
    """The audio of one input cannot be read or cannot be used."""

    code = "audio"

    # OSError formats itself from its own arguments; keep the form of SewError.
    __str__ = SewError.__str__


class ModelError(SewError, ValueError):
    """A model or alias is not available, damaged or of the wrong kind."""

    code = "model"
    exit_code = EXIT_MODEL


class DeviceError(SewError, RuntimeError):
    """The device asked for is not there, or its memory is not enough."""

    code = "device"
    exit_code = EXIT_DEVICE
