"""When Python looks for garbage in a process of the command line.

Importing torch makes some 270,000 objects that stay. With Python's own settings they are searched again
and again while they are made, and once more at the end of the process: a quarter of a short run.
"""

from __future__ import annotations

import gc

#: new objects after which the youngest are searched, until everything is imported
_WHILE_IMPORTING = 50_000
_USUAL = gc.get_threshold()


def while_importing() -> None:
    """Search seldom."""
    gc.set_threshold(_WHILE_IMPORTING)


def as_usual() -> None:
    """Search as Python does, but not what is there already; nothing where it has not been put off."""
    if gc.get_threshold()[0] == _WHILE_IMPORTING:
        gc.freeze()
        gc.set_threshold(*_USUAL)


def at_the_end() -> None:
    """Search no more: everything goes."""
    gc.freeze()
