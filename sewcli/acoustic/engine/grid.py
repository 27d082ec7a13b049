"""Few sizes of products on a CPU.

oneDNN compiles a product for each number of rows and keeps what it has compiled, half a megabyte each.
With numbers from a grid 600 clips of 2 to 5 s need 660 MB with sew-tiny where they needed 1070, and take 1.00
to 1.03 of the time; a clip alone that has been compiled for, 1.01 (1 s) to 1.06 (1.5 s). The steps are
shorter for short clips: 16 frames would cost those of 1 s a tenth.
"""

from __future__ import annotations

from sewcli.chunking import PAIR

#: up to how many frames the steps are how long; all are whole states
_STEPS = ((64, 4), (128, 8))
_LAST_STEP = 16


def on_grid(frames: int) -> int:
    """The least number of frames on the grid that is not less."""
    step = next((step for most, step in _STEPS if frames <= most), _LAST_STEP)
    return -(-frames // step) * step


def compiled_for(frames: int) -> int:
    """The least number of frames, not less, for SEW-D through torch.compile: whole groups of eight states.

    It makes one function for such lengths and another for the rest, because torch's fused attention wants
    rows of its bias to begin at multiples of eight.
    """
    return -(-frames // _LAST_STEP) * _LAST_STEP


def states_on_grid(states: int) -> int:
    """The same for states, of two frames each."""
    return on_grid(PAIR * states) // PAIR
