"""The arithmetic of frames and chunks, for any length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewcli.chunking import (
    HOP,
    MIN_SAMPLES,
    PAIR_SAMPLES,
    RECEPTIVE_FIELD,
    ChunkPlan,
    frame_count,
    frame_end,
    frame_start,
    kept_frame_count,
    samples_for_frames,
)

lengths = st.integers(min_value=MIN_SAMPLES, max_value=16_000 * 120)


@st.composite
def plans(draw):
    stride = draw(st.integers(0, 60))
    chunk = draw(st.integers(2 * stride + 1, 2 * stride + 400))
    return ChunkPlan(chunk * PAIR_SAMPLES, stride * PAIR_SAMPLES)


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(0, 0), (399, 0), (400, 1), (720, 2), (16_000, 49), (160_000, 499), (480_000, 1499)],
)
def test_known_frame_counts(samples, frames):
    assert frame_count(samples) == frames


@given(lengths)
def test_even_frames_lie_in_the_documented_range(samples):
    assert (frame_count(samples) % 2 == 0) == (80 <= samples % 640 < 400)


@given(st.integers(1, 5000))
def test_samples_for_frames_is_the_smallest(frames):
    samples = samples_for_frames(frames)
    assert frame_count(samples) == frames
    assert frame_count(samples - 1) == frames - 1


@given(plans(), lengths)
def test_kept_frames_abut_and_cover_the_recording(plan, samples):
    position = 0
    for chunk in plan.chunks(samples):
        assert chunk.first_frame == position
        assert chunk.kept > 0
        position += chunk.kept
    assert position == kept_frame_count(samples)


@given(plans(), lengths)
def test_every_chunk_can_be_read_and_run(plan, samples):
    chunks = list(plan.chunks(samples))
    for chunk in chunks:
        assert chunk.start % PAIR_SAMPLES == 0
        assert 0 <= chunk.start < chunk.stop <= samples
        assert chunk.samples >= MIN_SAMPLES
        assert chunk.keep_from % 2 == 0
        assert chunk.keep_to <= kept_frame_count(chunk.samples)
        # the frame kept first is the same stretch of samples in the chunk and in the recording
        assert chunk.start + chunk.keep_from * HOP == chunk.first_frame * HOP
    for chunk in chunks[:-1]:
        assert frame_count(chunk.samples) % 2 == 0
        assert chunk.samples <= plan.chunk + RECEPTIVE_FIELD - HOP


@given(plans(), lengths)
def test_no_chunk_is_longer_than_the_plan_says(plan, samples):
    longest = plan.chunk + PAIR_SAMPLES + RECEPTIVE_FIELD
    assert all(chunk.samples <= longest for chunk in plan.chunks(samples))


@given(plans(), lengths)
def test_the_tail_is_never_too_short(plan, samples):
    *_, last = plan.chunks(samples)
    least = min(kept_frame_count(samples), plan.chunk // HOP // 2 // 2 * 2)
    assert kept_frame_count(last.samples) >= least


@given(plans(), lengths)
def test_inner_frames_have_their_stride_as_context(plan, samples):
    context = plan.stride // HOP
    total = kept_frame_count(samples)
    for chunk in plan.chunks(samples):
        assert chunk.first_frame == 0 or chunk.keep_from >= context
        end = chunk.first_frame + chunk.kept
        assert end == total or kept_frame_count(chunk.samples) - chunk.keep_to >= context


def test_too_short_a_recording_has_no_chunk():
    assert list(ChunkPlan.from_seconds(20, 1).chunks(MIN_SAMPLES - 1)) == []


@given(plans())
def test_a_recording_of_just_one_chunk_is_one(plan):
    for more, chunks in ((0, 1), (1, 2)):
        samples = samples_for_frames(plan.chunk // HOP + 2 * more)
        assert len(list(plan.chunks(samples))) == chunks


@pytest.mark.parametrize(
    ("chunk", "stride"),
    [(1, 0.52), (0, 0), (2, 1), (1, -0.04), (20, float("inf")), (float("inf"), 1), (20, float("nan"))],
)
def test_plans_that_never_advance_are_refused(chunk, stride):
    with pytest.raises(ValueError, match=r"chunk|longer"):
        ChunkPlan.from_seconds(chunk, stride)


def test_frame_times():
    assert frame_start(0) == 0.0
    assert frame_start(50) == pytest.approx(1.0)
    assert frame_end(49) == frame_start(50)
