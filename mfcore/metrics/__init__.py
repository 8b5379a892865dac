"""What models are measured by."""

from mfcore.metrics.ranking import RankMetrics, rank_metrics, relevant_threshold
from mfcore.metrics.rating import mae, rmse

__all__ = ["RankMetrics", "mae", "rank_metrics", "relevant_threshold", "rmse"]
