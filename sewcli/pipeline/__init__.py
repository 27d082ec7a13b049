"""Inputs to results: what is under way, in order and bounded."""
