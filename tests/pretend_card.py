"""A card that is not there: tensors with a device, a dtype and a shape, and no numbers.

What runs on them shows that it keeps to the card. A tensor of the host among those of the card raises, and so
does whatever needs a number on the host, as a card would be waited for there.
"""

from contextlib import ExitStack

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sewcli.acoustic.engine import sew_d, weights

CARD = torch.device("cuda", 0)
_aten = torch.ops.aten


class PretendCard(ExitStack):
    """Within it tensors have no numbers, and weights that are loaded have none.

    Args:
        monkeypatch: of pytest.
    """

    def __init__(self, monkeypatch):
        super().__init__()
        self._monkeypatch = monkeypatch
        self._mode = FakeTensorMode()

    def __enter__(self):
        real_readers, real_positions = weights._readers, sew_d.relative_positions

        def readers(directory):
            with unset_fake_temporarily():
                tensors = {name: read() for name, read in real_readers(directory).items()}
            return {name: (lambda tensor=tensor: self.on_host(tensor)) for name, tensor in tensors.items()}

        def positions(count, config, device, *, trimmed=True):
            # they are computed on the host, with numbers
            with unset_fake_temporarily():
                made = real_positions(count, config, torch.device("cpu"), trimmed=trimmed)
            return type(made)(made.reached, self.on_host(made.rows).to(device))

        self._monkeypatch.setattr(weights, "_readers", readers)
        self._monkeypatch.setattr(sew_d, "relative_positions", positions)
        self.enter_context(self._mode)
        self.enter_context(_WithoutCuda())
        return super().__enter__()

    def on_host(self, tensor):
        """A tensor of the host, without its numbers."""
        return self._mode.from_tensor(tensor)


class _WithoutCuda(TorchFunctionMode):
    """What a torch that was built without CUDA refuses for tensors of a card, by operators that it takes."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.numpy:
            return np.zeros(args[0].shape, dtype=np.float32)
        on_card = any(isinstance(value, torch.Tensor) and value.is_cuda for value in args)
        return (_OPERATORS.get(func, func) if on_card else func)(*args, **kwargs)


def _indexed(tensor, index):
    """Integers, slices, None and one tensor at most; ... at the front."""
    index = index if isinstance(index, tuple) else (index,)
    named = sum(part is not None and part is not ... for part in index)
    dimension = 0
    for part in index:
        if isinstance(part, int):
            tensor = _aten.select(tensor, dimension, part)
            continue
        if part is ...:
            dimension += tensor.dim() - named
            continue
        if part is None:
            tensor = _aten.unsqueeze(tensor, dimension)
        elif isinstance(part, slice):
            tensor = _aten.slice(tensor, dimension, part.start, part.stop, part.step or 1)
        else:
            tensor = _aten.index(tensor, [*([None] * dimension), part])
        dimension += 1
    return tensor


def _attention(queries, keys, values, attn_mask=None, scale=None):
    """The one of the three kernels that is made of operators; the kernels want one dtype."""
    assert attn_mask is None or attn_mask.dtype == queries.dtype
    return _aten._scaled_dot_product_attention_math(queries, keys, values, attn_mask, scale=scale)[0]


def _assign(tensor, index, value):
    _aten.copy_(_indexed(tensor, index), value)


_OPERATORS = {
    torch.Tensor.__getitem__: _indexed,
    torch.Tensor.__setitem__: _assign,
    torch.Tensor.__invert__: _aten.bitwise_not,
    torch.Tensor.contiguous: _aten.contiguous,
    F.scaled_dot_product_attention: _attention,
}
