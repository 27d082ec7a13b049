"""Speech transcription and keyword spotting with SEW and SEW-D models."""

__version__ = "0.1.0"
