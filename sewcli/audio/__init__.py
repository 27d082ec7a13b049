"""Audio in: any file, pipe or part of a file as checked 16 kHz mono samples, block by block.

reader      one source -> blocks: puts the other modules together
channels    one source a channel
arrays      a source that is in memory
download, spool    an address, or what can be read only once -> a file
live        samples from a pipe that may be endless
length      how long an input is, by its header
decoding    which library decodes a file: libsndfile, or else media (PyAV) or ffmpeg
native      what these hand over
containers  is all of the audio there that a file's header announces; ogg and mp3 know theirs
joined      several recordings in one file
prefix      headers that hide the audio behind them
checks      what audio must be like, and the errors that say it is not
dsp         cutting, mixing to mono and resampling as librosa does them, in a stream
"""

from __future__ import annotations

from sewcli.audio.channels import channels_apart
from sewcli.audio.checks import shown
from sewcli.audio.length import seconds_of
from sewcli.audio.reader import ENGINES, read_blocks
from sewcli.chunking import MIN_SAMPLES, SAMPLE_RATE

__all__ = ["ENGINES", "MIN_SAMPLES", "SAMPLE_RATE", "channels_apart", "read_blocks", "seconds_of", "shown"]
