"""Functions through torch.compile, for long runs on a GPU; what it gains there has not been measured."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any, Generic, ParamSpec

import torch

from sewcli.acoustic.cuda import first_line
from sewcli.acoustic.failures import is_out_of_memory

_log = logging.getLogger("sewcli")

P = ParamSpec("P")


def _lacks_memory(error: Exception) -> bool:
    return is_out_of_memory(error) or is_out_of_memory(getattr(error, "inner_exception", error))


class Compiled(Generic[P]):
    """A function that is compiled when first called, for all sizes of its tensors at once.

    All sizes but 1: one row and several are two functions, each compiled for some 20 s. Tensors that are
    there or not, or have other strides, would be more, and from the eighth on torch compiles no more: callers
    give theirs one form. What torch cannot compile runs as it is, after a warning.

    Args:
        function: of tensors.
        backend: of torch.compile, by name or itself.
    """

    def __init__(
        self, function: Callable[P, torch.Tensor], backend: str | Callable[..., Any] = "inductor"
    ) -> None:
        # private, and here alone: other engines must not fail where another version has it elsewhere
        from torch.fx.experimental import _config as shapes

        # float32 is to be float32 here, see `settle_cuda`: the compiler advises against it
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
        self._shapes: Any = shapes
        self._plain = function
        self._function = torch.compile(function, dynamic=True, fullgraph=True, backend=backend)

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled function is called; False once it has failed."""
        return self._function is not self._plain

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> torch.Tensor:
        """What the function gives."""
        function = self._function  # another thread may give it up meanwhile
        try:
            # else sizes that are equal in one batch by chance share a symbol, and the next is compiled anew
            with self._shapes.patch(use_duck_shape=False):
                return function(*args, **kwargs)
        except Exception as error:
            # whatever the compiler, or the one of C++ or CUDA behind it, raises. No name here holds what
            # dynamo wraps: in a cycle with the traceback it would keep a batch that did not fit
            if _lacks_memory(error) or function is self._plain:
                raise
            failed = first_line(getattr(error, "inner_exception", error))
            _log.warning("%s runs without torch.compile, which failed: %s", self._plain.__name__, failed)
            self._function = self._plain
        return self._plain(*args, **kwargs)
