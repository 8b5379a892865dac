"""Artifacts, files and URLs: what a run writes, whole or not at all."""
