"""What things are called in MLflow."""

__all__ = ["model_name"]


def model_name(dataset: str) -> str:
    """The registered model's name for a data set.

    >>> model_name("ml-100k")
    'mfcore-ml-100k'
    """
    return f"mfcore-{dataset}"
