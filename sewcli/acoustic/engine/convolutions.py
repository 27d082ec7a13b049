"""The convolutions of both families as matrix products: the feature extractor, and the positional convolution
with which the squeeze begins.

Everything is laid out (rows, time, channels), so that a convolution whose windows lie one behind the
other in memory is a matrix product.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sewcli.acoustic.batch import Batch, norm_of_moments
from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.grid import on_grid
from sewcli.acoustic.engine.operators import Operators
from sewcli.acoustic.engine.weights import Weights
from sewcli.acoustic.statistics import WINDOW, WINDOW_STRIDE
from sewcli.chunking import HOP, PAIR, samples_for_frames

#: epsilon of torch.nn.GroupNorm, which no configuration changes
_GROUP_EPSILON = 1e-5
#: frames of the feature extractor's output in one tile on the CPU, whose layers of 1.5 MB stay in the
#: cache: 1.2 to 1.4 times as fast as untiled over 30 s
_TILE_FRAMES = 96
#: the length of the last of several tiles is a multiple of this, so that oneDNN compiles for few sizes: 0.91
#: of the time on mixed lengths; were all tiles whole, more frames would be computed twice
_TILE_STEP = 16
#: outputs in one block of the positional convolution: against conv1d of torch 1.5 (31 samples) to 1.9
#: (128) times as fast in float32, 1 to 2.9 in bfloat16; greater blocks gain nothing and cost memory
_BLOCK = 2
#: the same where all groups are one product, whose windows are copied: the fewer, the less of that
_BLOCK_AT_ONCE = 8


class FeatureExtractor:
    """SEWFeatureEncoder: thirteen convolutions, a group norm after the first, GELU after each.

    The group norm is folded into the first convolution, for each row its own: the statistics follow
    from the moments of the windows (see acoustic.statistics). The others are matrix products over
    windows of the time axis.
    """

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators) -> None:
        self._config = config
        self._operators = operators
        self._dtype = weights.dtype
        first = "feature_extractor.conv_layers.0."
        channels = config.channels[0]
        self._first = weights.take_float32(first + "conv.weight", channels, 1, WINDOW)[:, 0]
        self._first_bias = (
            weights.take_float32(first + "conv.bias", channels) if config.convolution_bias else None
        )
        self._norm_weight = weights.take_float32(first + "layer_norm.weight", channels)
        self._norm_bias = weights.take_float32(first + "layer_norm.bias", channels)
        self._others = []
        for layer in range(1, len(config.kernels)):
            name = f"feature_extractor.conv_layers.{layer}.conv."
            outputs, inputs, kernel = (
                config.channels[layer],
                config.channels[layer - 1],
                config.kernels[layer],
            )
            weight = weights.take(name + "weight", outputs, inputs, kernel)
            bias = weights.take(name + "bias", outputs) if config.convolution_bias else None
            packed = operators.pack(weight.transpose(1, 2).reshape(outputs, kernel * inputs))
            self._others.append((packed, bias, kernel, config.strides[layer]))

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Samples (B, n) -> features (B, frames, channels); undefined past the end of a row."""
        if not self._operators.by_matrix:
            return self._convolve(batch.samples, *self._folded(batch.window_mean, batch.window_covariance))
        # frames past the end of a row are not computed, but for those of the last tile of a short one
        rows, width = batch.samples.shape
        frames = width // HOP
        features = batch.samples.new_zeros(rows, frames, self._config.channels[-1], dtype=self._dtype)
        for row, length in enumerate(batch.frame_counts):
            one = slice(row, row + 1)
            # row by row: products of several round in another order, and bfloat16 then makes a step of that
            folded = self._folded(batch.window_mean[one], batch.window_covariance[one])
            for begin in range(0, length, _TILE_FRAMES):
                # the last one begins a little earlier, to be of one of few sizes; a short row ends later
                left = length - begin
                size = -(-left // _TILE_STEP) * _TILE_STEP if begin else on_grid(length)
                size = min(size, _TILE_FRAMES)
                start = max(0, min(begin, length - size))
                stop = min(start + size, frames)
                samples = batch.samples[row, start * HOP :][: samples_for_frames(stop - start)]
                features[row, start:stop] = self._convolve(samples[None], *folded)[0]
        return features

    def _folded(self, mean: torch.Tensor, covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first convolution with the group norm in it, float32: (B, kernel, channels), (B, 1, channels).

        Args:
            mean, covariance: of the windows, see `Batch`.
        """
        norm = self._norm_weight, self._norm_bias, _GROUP_EPSILON
        scale, shift = norm_of_moments(mean, covariance, self._first, self._first_bias, *norm)
        if self._first_bias is not None:
            shift = shift + self._first_bias * scale
        return (self._first * scale[..., None]).float().transpose(1, 2), shift[:, None].float()

    def _convolve(self, samples: torch.Tensor, weight: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        # the first layer in float32 in any case: it reads the samples themselves
        hidden = torch.baddbmm(shift, samples.unfold(1, WINDOW, WINDOW_STRIDE), weight)
        hidden = F.gelu(hidden.to(self._dtype))
        for weight_, bias, kernel, stride in self._others:
            hidden = self._operators.linear(_windows(hidden, kernel, stride), weight_, bias, gelu=True)
        return hidden


def _windows(hidden: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Windows of the time axis: (B, T, C) -> (B, windows, kernel C), a view."""
    rows, time, channels = hidden.shape
    count = (time - kernel) // stride + 1
    return hidden.as_strided((rows, count, kernel * channels), (time * channels, stride * channels, 1))


class Squeeze:
    """Positional convolution plus average pooling, two frames to one state (SEWEncoder.forward).

    The grouped convolution is a matrix product for each group: a block of outputs is the windows they
    share, one behind the other, times a matrix in which the kernel stands once for each output, shifted
    (block-Toeplitz).
    """

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators) -> None:
        name = "encoder.pos_conv_embed.conv."
        kernel, groups = config.position_kernel, config.position_groups
        width = config.hidden // groups
        if weights.holds(name + "weight_g"):  # as torch.nn.utils.weight_norm named them
            scale, direction = name + "weight_g", name + "weight_v"
        else:
            scale = name + "parametrizations.weight.original0"
            direction = name + "parametrizations.weight.original1"
        # the weight norm has one scale for each position of the kernel (dim 2)
        vectors = weights.take_float32(direction, config.hidden, width, kernel)
        lengths = vectors.norm(dim=(0, 1), keepdim=True)
        weight = vectors * (weights.take_float32(scale, 1, 1, kernel) / lengths)
        weight = weight.view(groups, width, width, kernel)
        block = _BLOCK if operators.by_matrix else _BLOCK_AT_ONCE
        span = (block - 1) * PAIR + kernel
        toeplitz = weight.new_zeros(groups, block, width, span, width)
        for output in range(block):
            toeplitz[:, output, :, output * PAIR : output * PAIR + kernel] = weight.transpose(2, 3)
        toeplitz = toeplitz.view(groups, block * width, span * width).to(weights.dtype)
        bias = weights.take(name + "bias", config.hidden).view(groups, 1, width)
        # contiguous also where it is a view, of one channel a group: oneDNN does not look at strides
        self._biases = bias.expand(groups, block, width).reshape(groups, block * width).contiguous()
        self._operators = operators
        if operators.by_matrix:
            self._weights = [operators.pack(matrix) for matrix in toeplitz]
        else:
            self._matrices = toeplitz.transpose(1, 2)
        self._kernel, self._groups, self._width = kernel, groups, width
        self._block, self._span = block, span

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """(B, F, hidden) -> (B, F / 2, hidden)."""
        rows, frames, hidden = features.shape
        states = frames // PAIR
        blocks = -(-states // self._block)
        before = self._kernel // 2
        length = (blocks - 1) * self._block * PAIR + self._span
        padded = features.new_zeros(rows, self._groups, length, self._width)
        inside = min(frames, length - before)
        by_group = features[:, :inside].view(rows, inside, self._groups, self._width)
        padded[:, :, before : before + inside] = by_group.transpose(1, 2)
        windows = padded.as_strided(
            (self._groups, rows, blocks, self._span * self._width),
            (
                length * self._width,
                self._groups * length * self._width,
                self._block * PAIR * self._width,
                1,
            ),
        )
        # (B, blocks, block, groups, width)
        convolved = self._by_group(windows) if self._operators.by_matrix else self._at_once(windows)
        positions = convolved.reshape(rows, blocks * self._block, hidden)
        pooled = features.view(rows, states, PAIR, hidden).mean(dim=2)
        return pooled.add_(positions[:, :states])

    def _by_group(self, windows: torch.Tensor) -> torch.Tensor:
        """One product after the other."""
        groups, rows, blocks, _ = windows.shape
        convolved = windows.new_empty(rows, blocks, self._block, groups, self._width)
        for group, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            out = self._operators.linear(windows[group], weight, bias, gelu=True)
            convolved[:, :, :, group] = out.view(rows, blocks, self._block, self._width)
        return convolved

    def _at_once(self, windows: torch.Tensor) -> torch.Tensor:
        """One product for all groups: 8 kernels on a card in the place of 100."""
        groups, rows, blocks, size = windows.shape
        side_by_side = windows.reshape(groups, rows * blocks, size)
        out = F.gelu(torch.baddbmm(self._biases[:, None], side_by_side, self._matrices))
        return out.view(groups, rows, blocks, self._block, self._width).permute(1, 2, 3, 0, 4)
