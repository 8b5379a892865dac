"""Five tutorials of matrix factorization, done with this library: `python -m mfcore.tutorials.NAME`."""
