"""Matrix factorization for explicit ratings: from raw ratings to served recommendations."""

__version__ = "0.2.0"
