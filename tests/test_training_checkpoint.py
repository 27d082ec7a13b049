"""Training: the files of a checkpoint."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from sewcli.errors import UsageError
from sewcli.training.checkpoint import CHOSEN, STATE, load_checkpoint, save_checkpoint


def test_a_large_state_is_saved_in_parts_and_read_back(tmp_path):
    state = {
        "step": 3,
        "nested": {0: {"a": torch.arange(10.0), "b": [torch.ones(3, 4), 2.5]}, "x": None},
        "large": torch.randn(500),
    }
    save_checkpoint(tmp_path, 3, state, part_bytes=256)
    assert len(list((tmp_path / "state-00000003").glob("part-*"))) == 2
    save_checkpoint(tmp_path, 4, {**state, "step": 4}, part_bytes=256)
    assert [path.name for path in tmp_path.glob("state*")] == ["state-00000004"]
    loaded = load_checkpoint(tmp_path)
    assert loaded["step"] == 4
    assert loaded["nested"]["x"] is None
    torch.testing.assert_close(loaded["large"], state["large"], rtol=0, atol=0)
    torch.testing.assert_close(loaded["nested"][0]["b"][0], torch.ones(3, 4))
    assert loaded["nested"][0]["b"][1] == 2.5


def test_a_state_that_is_there_is_saved_again_with_what_is_new(tmp_path):
    weight = torch.arange(6.0)
    save_checkpoint(tmp_path, 3, {"best": 0.5, "model": weight}, part_bytes=1 << 20)
    part = tmp_path / "state-00000003/part-0000.safetensors"
    made = part.stat().st_mtime_ns
    save_checkpoint(tmp_path, 3, {"best": 0.4, "model": weight}, part_bytes=1 << 20)
    loaded = load_checkpoint(tmp_path)
    assert loaded["best"] == 0.4
    assert torch.equal(loaded["model"], weight)
    assert part.stat().st_mtime_ns == made  # what is large is not written twice
    assert sorted(file.name for file in tmp_path.rglob("*.*")) == ["part-0000.safetensors", "state.json"]


@pytest.mark.parametrize("kind", [STATE, CHOSEN])
@pytest.mark.parametrize("step", [3, 4])
def test_a_kill_while_one_is_replaced_leaves_one_that_can_be_read(tmp_path, monkeypatch, kind, step):
    """Before each of the operations that change names, by the same step or a later one."""
    weight = torch.arange(6.0)
    found = []
    for last in range(8):
        run = tmp_path / str(last)
        save_checkpoint(run, 3, {"best": 0.5, "model": weight}, 1 << 20, kind)
        left = iter(range(last))

        def killed(operation, left=left):
            def begun(*given, **named):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return operation(*given, **named)

            return begun

        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            for owner, name in ((Path, "rename"), (Path, "replace"), (shutil, "rmtree")):
                patched.setattr(owner, name, killed(getattr(owner, name)))
            save_checkpoint(run, step, {"best": 0.4, "model": weight}, 1 << 20, kind)
        loaded = load_checkpoint(run, kind)
        assert loaded is not None
        assert torch.equal(loaded["model"], weight)
        found.append(loaded["best"])
    assert (found[0], found[-1]) == (0.5, 0.4)


def test_a_damaged_checkpoint_is_named(tmp_path):
    save_checkpoint(tmp_path, 3, {"a": torch.ones(100)}, part_bytes=1 << 20)
    part = tmp_path / "state-00000003/part-0000.safetensors"
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(UsageError, match="state-00000003 is damaged"):
        load_checkpoint(tmp_path)
