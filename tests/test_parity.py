"""Every engine against transformers on one unpadded utterance, at the real architecture."""

import numpy as np
import pytest
import torch
from networks import LENGTHS, outputs, random_model, reference, relative_error, saved, utterance

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.engine import disentangled, fast
from sewcli.acoustic.engine.attention import Products
from sewcli.acoustic.engine.operators import OneDnnOperators, PublicOperators, find_operators
from sewcli.acoustic.forward import ctc_logits
from sewcli.acoustic.load import load_model
from sewcli.acoustic.statistics import StatisticsAccumulator, wave_statistics
from sewcli.bench.material import model_directory, plain_network
from sewcli.chunking import frame_count, kept_frame_count


#: "public" is the fast engine where torch has no private operators, "card" as it runs on CUDA; the three
#: before them have the attention of other processors
@pytest.fixture(params=["reference", "fast", "fused", "together", "by head", "public", "card"])
def load(request, monkeypatch, tmp_path):
    """Load a model with one of the engines."""
    if request.param in ("public", "card"):
        operators = PublicOperators(gathers=request.param == "public")
        monkeypatch.setattr(fast, "find_operators", lambda *_, **_options: operators)
    if request.param in ("fused", "together", "by head"):
        operators = find_operators(torch.device("cpu"), torch.float32)
        if not isinstance(operators, OneDnnOperators):
            pytest.skip("torch has no operators of oneDNN")
        for name in ("fused_attention", "fused_with_bias"):
            monkeypatch.setattr(operators, name, request.param == "fused")
        products = operators.head_products if request.param == "by head" else Products()
        monkeypatch.setattr(operators, "products", lambda _count: products)

    def load(model, task, **options):
        engine = "reference" if request.param == "reference" else "fast"
        network = load_model(saved(model, tmp_path), task, engine=engine, **options)
        assert network.engine == engine
        return network

    return load


def test_the_two_ways_of_the_fast_engine_are_not_the_same():
    """On this machine; elsewhere the parity tests run the public way twice."""
    operators = find_operators(torch.device("cpu"), torch.float32)
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("torch was built without oneDNN")
    assert isinstance(operators, OneDnnOperators)
    assert operators.by_matrix != PublicOperators.by_matrix


def check_alone_and_among_neighbours(model, network, *, by_frame):
    rows = [utterance(n) for n in LENGTHS]
    together = outputs(network, rows)
    for row, batched in zip(rows, together, strict=True):
        expected = reference(model, row)
        if by_frame:
            assert expected.shape[0] == frame_count(row.size)
            expected = expected[: kept_frame_count(row.size)]
        assert relative_error(outputs(network, [row])[0], expected) < 1e-5
        assert relative_error(batched, expected) < 1e-5


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
class TestAgainstTransformers:
    def test_ctc_logits(self, load, family):
        model = random_model(family, "ForCTC")
        check_alone_and_among_neighbours(model, load(model, "ctc"), by_frame=True)

    def test_class_logits(self, load, family):
        model = random_model(family, "ForSequenceClassification")
        check_alone_and_among_neighbours(model, load(model, "classification"), by_frame=False)

    def test_hidden_states(self, load, family):
        model = random_model(family, "Model")
        check_alone_and_among_neighbours(model, load(model, "features"), by_frame=True)

    def test_thirty_seconds(self, load, family):
        model = random_model(family, "ForCTC")
        row = utterance(480_000)
        expected = reference(model, row)[: kept_frame_count(row.size)]
        assert relative_error(outputs(load(model, "ctc"), [row])[0], expected) < 1e-5

    @pytest.mark.parametrize(
        "config",
        [
            {"conv_bias": True},
            {"num_conv_pos_embeddings": 31},
            {"num_conv_pos_embeddings": 3},
            {"conv_dim": (16, *(24,) * 4, *(64,) * 8)},  # as wide as the encoder: no projection
            {"layer_norm_eps": 1e-3},
            {"num_conv_pos_embedding_groups": 64},  # one channel a group
            {"feature_layer_norm_eps": 10.0},  # a key that SEW does not have
        ],
        ids=str,
    )
    def test_other_configurations(self, load, family, config):
        model = random_model(family, "ForCTC", **config)
        rows = [utterance(16_080), utterance(23_000)]
        for row, logits in zip(rows, outputs(load(model, "ctc"), rows), strict=True):
            assert relative_error(logits, reference(model, row)[: kept_frame_count(row.size)]) < 1e-5


@pytest.mark.parametrize(
    "config",
    [
        {"position_buckets": 8, "max_position_embeddings": 20},
        {"position_buckets": -1, "max_position_embeddings": 16},
        # buckets that do not grow with the distance
        {"position_buckets": 32, "max_position_embeddings": 16},
        {"position_buckets": 7, "max_position_embeddings": 4},
        {"norm_rel_ebd": "none"},
        {"feature_layer_norm_eps": 1e-2},
        {"pos_att_type": ["c2p", "p2c"]},
        {"hidden_act": "gelu"},
    ],
    ids=str,
)
def test_relative_positions_of_sew_d(load, config):
    """Few enough that a second of audio reaches all kinds of buckets."""
    model = random_model("SEWD", "ForCTC", **config)
    rows = [utterance(33_333), utterance(16_080)]
    for row, logits in zip(rows, outputs(load(model, "ctc"), rows), strict=True):
        assert relative_error(logits, reference(model, row)[: kept_frame_count(row.size)]) < 1e-5


@pytest.mark.parametrize("seconds", [10.2, 10.3, 14.0])
def test_long_rows_of_sew_d(load, seconds):
    """Rows whose heads are computed some at a time, beside a short one."""
    model = random_model("SEWD", "ForCTC", position_buckets=32, max_position_embeddings=128)
    rows = [utterance(int(seconds * 16_000)), utterance(5_555)]
    for row, logits in zip(rows, outputs(load(model, "ctc"), rows), strict=True):
        assert relative_error(logits, reference(model, row)[: kept_frame_count(row.size)]) < 1e-5


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
class TestWhatOnlyTheReferenceRuns:
    def test_layer_norm_in_the_feature_extractor(self, family, tmp_path):
        model = random_model(family, "ForCTC", feat_extract_norm="layer")
        network = load_model(saved(model, tmp_path), "ctc")
        assert network.engine == "reference"
        check_alone_and_among_neighbours(model, network, by_frame=True)

    @pytest.mark.parametrize("norm", ["group", "layer"])
    def test_weighted_layer_sum(self, family, norm, tmp_path):
        model = random_model(
            family, "ForSequenceClassification", feat_extract_norm=norm, use_weighted_layer_sum=True
        )
        network = load_model(saved(model, tmp_path), "classification")
        assert network.engine == "reference"
        check_alone_and_among_neighbours(model, network, by_frame=False)


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_bfloat16_is_near(load, family):
    model = random_model(family, "ForCTC")
    row = utterance(33_333)
    expected = reference(model, row)[: kept_frame_count(row.size)]
    got = outputs(load(model, "ctc", dtype="bfloat16"), [row])[0]
    assert 1e-4 < np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2)) < 0.05


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_the_odd_last_frame_of_the_library_is_the_bias_alone(family):
    """The reason it is dropped: it is the same whatever was said."""
    model = random_model(family, "ForCTC")
    last = reference(model, utterance(16_000))[-1]
    np.testing.assert_allclose(last, model.lm_head.bias.detach().numpy(), atol=1e-6)


def test_eager_attention_is_masked_too():
    model = random_model("SEW", "ForCTC")
    model.set_attn_implementation("eager")
    rows = [utterance(16_080), utterance(8_080)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    with torch.no_grad():
        logits = ctc_logits(model, batch).numpy()
    kept = kept_frame_count(rows[1].size)
    assert relative_error(logits[1, :kept], reference(model, rows[1])[:kept]) < 1e-5


def test_silence_is_finite(load):
    model = random_model("SEW", "ForCTC")
    silence = np.zeros(16_080, dtype=np.float32)
    assert relative_error(outputs(load(model, "ctc"), [silence])[0], reference(model, silence)) < 1e-5


def test_a_quiet_recording_has_the_floor_of_its_variance(load):
    """Which is a fifth of it here."""
    model, samples = random_model("SEW", "ForCTC"), utterance(16_080)
    quiet = (samples * (7e-4 / samples.std())).astype(np.float32)
    expected = reference(model, quiet)[: kept_frame_count(quiet.size)]
    assert relative_error(outputs(load(model, "ctc"), [quiet])[0], expected) < 1e-5


def test_sew_d_in_blocks_of_queries(load, monkeypatch):
    model, samples = random_model("SEWD", "ForCTC"), utterance(48_080)
    monkeypatch.setattr(disentangled, "_MOST_SCORES", 1000)
    monkeypatch.setattr(disentangled, "_LEAST_QUERIES", 20)
    expected = reference(model, samples)[: kept_frame_count(samples.size)]
    assert relative_error(outputs(load(model, "ctc"), [samples])[0], expected) < 1e-5


@pytest.mark.parametrize("hertz", [2, 50])
@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_hum_and_rumble_cost_no_digits(family, hertz, load):
    """Most filters of the first convolution cancel it, and with it most digits of their variance."""
    model, samples = random_model(family, "ForCTC"), utterance(16_080)
    hum = np.sin(2 * np.pi * hertz * np.arange(samples.size) / 16_000) * samples.std() * 141
    samples = (samples + hum).astype(np.float32)
    expected = reference(model, samples)[: kept_frame_count(samples.size)]
    assert relative_error(outputs(load(model, "ctc"), [samples])[0], expected) < 1e-5


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


@pytest.mark.parametrize("size", ["sew-tiny", "sew-d-tiny"])
def test_a_published_size(size):
    """Random weights, five seconds beside two, side by side and in turn."""
    with model_directory(size) as local:
        network = load_model(local, "ctc", engine="fast", device="cpu")
        model = plain_network(local.directory)
    rows = [utterance(80_000), utterance(33_333)]
    for row, logits in zip(rows, outputs(network, rows), strict=True):
        assert relative_error(logits, reference(model, row)[: kept_frame_count(row.size)]) < 1e-5
