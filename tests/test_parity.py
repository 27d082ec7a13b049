"""The acoustic model against transformers on one unpadded utterance, at the real architecture."""

import numpy as np
import pytest
import torch
import transformers

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import class_logits, ctc_logits
from sewcli.acoustic.statistics import StatisticsAccumulator, wave_statistics
from sewcli.chunking import frame_count, kept_frame_count

SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "conv_dim": (16, *(24,) * 4, *(32,) * 8),
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 24,
    "num_labels": 5,
}
#: 720 is the least; 16000 gives 49 frames, 16080 and 16400 even and odd neighbours of a boundary
LENGTHS = [720, 1039, 1040, 9_999, 16_000, 16_080, 16_400, 33_333]


def random_model(family, task, **config):
    torch.manual_seed(7)
    config_class = getattr(transformers, f"{family}Config")
    model = getattr(transformers, family + task)(config_class(**{**SIZES, **config})).eval()
    for parameter in model.parameters():  # biases and norms start at 0 and 1, where errors would hide
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def utterance(samples, seed=0):
    """Noise whose level moves and a constant offset, so that statistics matter."""
    rng = np.random.default_rng([seed, samples])
    level = 0.05 + 0.2 * np.abs(np.sin(np.arange(samples) / 3000.0))
    return (rng.standard_normal(samples) * level + 0.03).astype(np.float32)


@torch.no_grad()
def reference(model, samples):
    """The library's own path: feature extractor, then the model on one utterance alone."""
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    values = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_values
    return model(values).logits[0].numpy()


@torch.no_grad()
def ours(model, rows):
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    run = ctc_logits if type(model).__name__.endswith("CTC") else class_logits
    return run(model, batch).numpy()


def relative_error(got, expected):
    return np.abs(got - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("family", ["SEW", "SEWD"])
class TestAgainstTransformers:
    def test_ctc_logits_alone_and_among_neighbours(self, family, norm):
        model = random_model(family, "ForCTC", feat_extract_norm=norm)
        rows = [utterance(n) for n in LENGTHS]
        together = ours(model, rows)
        for row, batched in zip(rows, together, strict=True):
            kept = kept_frame_count(row.size)
            expected = reference(model, row)
            assert expected.shape[0] == frame_count(row.size)
            assert relative_error(ours(model, [row])[0, :kept], expected[:kept]) < 1e-5
            assert relative_error(batched[:kept], expected[:kept]) < 1e-5

    @pytest.mark.parametrize("weighted", [False, True])
    def test_class_logits_alone_and_among_neighbours(self, family, norm, weighted):
        model = random_model(
            family, "ForSequenceClassification", feat_extract_norm=norm, use_weighted_layer_sum=weighted
        )
        rows = [utterance(n) for n in LENGTHS]
        together = ours(model, rows)
        for row, batched in zip(rows, together, strict=True):
            expected = reference(model, row)
            assert relative_error(ours(model, [row])[0], expected) < 1e-5
            assert relative_error(batched, expected) < 1e-5


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_thirty_seconds(family):
    model = random_model(family, "ForCTC")
    row = utterance(480_000)
    kept = kept_frame_count(row.size)
    assert relative_error(ours(model, [row])[0, :kept], reference(model, row)[:kept]) < 1e-5


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_the_odd_last_frame_of_the_library_is_the_bias_alone(family):
    """The reason it is dropped: it is the same whatever was said."""
    model = random_model(family, "ForCTC")
    last = reference(model, utterance(16_000))[-1]
    np.testing.assert_allclose(last, model.lm_head.bias.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_convolution_bias(bias):
    model = random_model("SEW", "ForCTC", conv_bias=bias)
    row = utterance(16_080)
    assert relative_error(ours(model, [row])[0], reference(model, row)) < 1e-5


def test_eager_attention_is_masked_too():
    model = random_model("SEW", "ForCTC")
    model.set_attn_implementation("eager")
    rows = [utterance(16_080), utterance(8_080)]
    kept = kept_frame_count(rows[1].size)
    assert relative_error(ours(model, rows)[1, :kept], reference(model, rows[1])[:kept]) < 1e-5


def test_silence_is_finite():
    model = random_model("SEW", "ForCTC")
    silence = np.zeros(16_080, dtype=np.float32)
    assert relative_error(ours(model, [silence])[0], reference(model, silence)) < 1e-5


def test_channels_do_not_pass_for_clips():
    stereo = np.zeros((1600, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="one channel"):
        make_batch([stereo], [wave_statistics(stereo[:, 0])], normalize=True)


@pytest.mark.parametrize("block", [1, 7, 4096, 100_000])
def test_statistics_do_not_depend_on_the_blocks(block):
    samples = utterance(20_003)
    whole = wave_statistics(samples)
    accumulator = StatisticsAccumulator()
    for start in range(0, samples.size, block):
        accumulator.update(samples[start : start + block])
    parts = accumulator.finish()
    np.testing.assert_allclose(parts.window_covariance, whole.window_covariance, rtol=1e-9)
    np.testing.assert_allclose(parts.window_mean, whole.window_mean, rtol=1e-9)
    assert parts.mean == pytest.approx(float(samples.astype(np.float64).mean()))
    assert parts.variance == pytest.approx(float(samples.astype(np.float64).var()))


def test_statistics_of_a_loud_offset_keep_their_digits():
    """A constant 1000 times the signal would cost a float32 sum all digits of the variance."""
    samples = (utterance(16_080) * 0.001 + 0.5).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 10)[::5]
    expected = np.cov(windows.T, bias=True)
    np.testing.assert_allclose(wave_statistics(samples).window_covariance, expected, rtol=1e-5)
