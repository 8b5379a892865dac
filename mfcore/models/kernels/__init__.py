"""Compiled inner loops over contiguous int32 and float32 arrays: no classes, no input or output."""
