"""Attention by products of torch, where its fused function is slower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from sewcli.acoustic.engine.grid import states_on_grid

#: (heads, M, k) by (heads, N, k), plus (heads, M, N), which is overwritten, if given: (heads, M, N)
Multiply = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


def multiply_together(left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """All heads in one product of torch: MKL's in float32 on x86, oneDNN's in bfloat16."""
    right = right.transpose(1, 2)
    return torch.bmm(left, right) if bias is None else bias.baddbmm_(left, right)


@dataclass(frozen=True)
class Products:
    """How the products of attention are taken.

    Attributes:
        multiply: of a group of heads.
        by_size: whether oneDNN compiles them for each size, of which there should be few.
        by_head: whether a group is one head.
    """

    multiply: Multiply = multiply_together
    by_size: bool = False
    by_head: bool = False

    def padded(self, length: int, width: int) -> int:
        """States of a row that are computed, some of which may lie past its end.

        Args:
            length: how many are its own.
            width: how many there are.
        """
        return min(states_on_grid(length), width) if self.by_size else length

    def groups(self, heads: int, count: int, scores: int) -> Iterator[slice]:
        """Heads that are computed together.

        Args:
            heads: how many there are.
            count: states that are computed.
            scores: how many of one group stay in the cache of a thread; each thread has a head at least.
        """
        together = torch.get_num_threads() * max(1, scores // max(1, count**2))
        together = 1 if self.by_head else together
        for start in range(0, heads, together):
            yield slice(start, start + together)

    def attend(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        length: int,
        bias: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """softmax(Q K' + bias) V of a group of heads: (heads, N, d).

        Args:
            queries, keys, values: (heads, N, d), the queries scaled.
            length: of the keys, those of the row itself.
            bias: (heads, N, N), which is overwritten.
        """
        if self.by_head:  # oneDNN takes a thousand times as long for operands that are not contiguous
            keys, values = keys.contiguous(), values.contiguous()
        scores = self.multiply(queries, keys, bias)
        if length < scores.shape[2]:
            scores[:, :, length:] = -torch.inf
        # in place: 0.96 of the time of attention with 750 states
        torch.softmax(scores, dim=-1, out=scores)
        return self.multiply(scores, values.transpose(1, 2), None)
