"""Scores against references: error rates, CTC loss, accuracy, speed, and the comparison of two results."""

from sewcli.evaluation.rates import require_jiwer
from sewcli.evaluation.scores import Scored, error_rates

__all__ = ["Scored", "error_rates", "require_jiwer"]
