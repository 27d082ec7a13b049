"""Keyword spotting over long audio: windows, their scores, and the events made of them."""
