"""Batches: which clips make them up, how long they are, and that they are the same for the same seed."""

import itertools

import numpy as np
import torch
from trainings import EXAMPLES, make_task

from sewcli.chunking import frame_count, samples_for_frames
from sewcli.training.augment import change_speed
from sewcli.training.batches import Bucketing, batches_in_order, endless, epoch_batches, rounded_up
from sewcli.training.feed import Feed
from sewcli.training.recipe import load_recipe


def test_every_clip_is_in_one_batch_of_a_pass_and_batches_keep_their_size():
    lengths = np.random.default_rng(0).integers(3_000, 200_000, size=500)
    batches = epoch_batches(lengths, Bucketing(512_000), seed=1, epoch=2)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert all(len(batch) * lengths[batch].max() <= 512_000 for batch in batches)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_every_pass_and_every_seed_has_an_order_of_its_own():
    """Batches come in any order of their lengths; their clips too are others."""
    lengths = np.random.default_rng(0).integers(3_000, 200_000, size=500)
    runs = {
        (seed, epoch): epoch_batches(lengths, Bucketing(512_000), seed, epoch)
        for seed in (1, 2)
        for epoch in (0, 1)
    }
    made = {tuple(map(tuple, batches)) for batches in runs.values()}
    assert len(made) == 4
    for batches in runs.values():
        longest = np.array([lengths[batch].max() for batch in batches])
        assert 0.3 < np.mean(np.diff(longest) > 0) < 0.7


def test_the_first_pass_may_go_from_short_to_long():
    lengths = np.random.default_rng(0).integers(3_000, 200_000, size=500)
    order = np.concatenate(epoch_batches(lengths, Bucketing(512_000, shortest_first=True), seed=1, epoch=0))
    assert np.all(np.diff(lengths[order]) >= 0)
    order = np.concatenate(epoch_batches(lengths, Bucketing(512_000, shortest_first=True), seed=1, epoch=1))
    assert not np.all(np.diff(lengths[order]) >= 0)


def test_the_order_of_clips_continues_where_it_stopped():
    lengths = np.random.default_rng(0).integers(3_000, 200_000, size=50)
    plan = endless(lengths, Bucketing(512_000), seed=5)
    steps = [next(plan) for _ in range(40)]
    later = endless(lengths, Bucketing(512_000), seed=5, start_step=23)
    for (epoch, clips), (epoch_again, clips_again) in zip(steps[23:], later, strict=False):
        assert epoch == epoch_again
        assert clips.tolist() == clips_again.tolist()


def test_batches_are_full_where_their_lengths_are_rounded_up():
    lengths = np.random.default_rng(0).integers(3_000, 250_000, 3_000)
    batches = epoch_batches(lengths, Bucketing(1_280_000, pool=60), seed=1, epoch=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(3_000))
    shapes = [(batch.size, rounded_up(int(lengths[batch].max()))) for batch in batches]
    assert all(rows * width <= 1_280_000 for rows, width in shapes)
    assert sum(rows == 1_280_000 // width for rows, width in shapes) >= 0.9 * len(batches)
    assert all(lengths[batch[-1]] == lengths[batch].max() for batch in batches)


def test_lengths_rounded_up_are_few_even_and_near():
    assert [rounded_up(length) for length in (1, 2, 15, 17, 33, 750)] == [2, 2, 16, 18, 36, 768]
    for length in range(16, 3_000):
        assert length <= rounded_up(length) <= 1.13 * length
        assert rounded_up(length) % 2 == 0
        assert rounded_up(rounded_up(length)) == rounded_up(length)
    assert len({rounded_up(length) for length in range(512, 1_024)}) <= 9


def test_batches_of_samples_come_in_few_lengths_and_have_one_speed(recipe_file, tmp_path):
    task, _, recipe = make_task(recipe_file, tmp_path, "speeds=[0.8, 1.25]", "batch_seconds=9")
    speeds = set()
    for _, batch, _ in itertools.islice(Feed(recipe, task), 12):
        assert batch.samples.shape[1] == samples_for_frames(rounded_up(max(batch.frame_counts)))
        of_batch = [
            speed
            for speed in recipe.speeds
            if set(batch.frame_counts) <= {frame_count(round(int(n) / speed)) for n in task.lengths}
        ]
        assert of_batch
        speeds.update(of_batch)
    assert speeds == set(recipe.speeds)


def test_a_feed_gives_the_same_batches_wherever_it_begins(recipe_file):
    recipe = load_recipe(recipe_file, EXAMPLES, ["noise_probability=0.0", "band_probability=0.5"])
    clips = Clips()
    from_start = [batch for _, batch in zip(range(8), Feed(recipe, clips), strict=False)]
    odd = [batch for _, batch in zip(range(3), Feed(recipe, clips, first=3, stride=2), strict=False)]
    for (number, batch, targets), (expected, whole, aims) in zip(odd, from_start[3::2], strict=True):
        assert number == expected
        assert targets == aims
        torch.testing.assert_close(batch.samples, whole.samples, rtol=0, atol=0)


class Clips:
    """Twelve clips of noise."""

    lengths = np.arange(12) * 4_000 + 8_000

    def example(self, index, speed, rng):
        samples = np.random.default_rng(index).standard_normal(self.lengths[index]).astype(np.float32)
        return change_speed(samples, speed), index

    def kept(self, _index, _rng):
        return None


def test_dev_clips_come_in_batches_that_hold_no_more_than_they_may():
    lengths = np.array([15] * 300 + [1] * 20)
    batches = batches_in_order(lengths, 120)
    assert sorted(np.concatenate(batches).tolist()) == list(range(320))
    assert max(len(batch) * lengths[batch].max() for batch in batches) <= 120
    assert [batch.tolist() for batch in batches_in_order(np.array([200, 3]), 120)] == [[1], [0]]
