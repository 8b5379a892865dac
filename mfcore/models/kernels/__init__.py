"""Compiled inner loops over contiguous int32 and float32 arrays: no classes, no input or output."""

import os

# An epoch is hundreds of short parallel loops. Threads that spin between them take the cores from whoever
# has work, the rest of this process first of all; it is read when Numba first starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
