"""Compiled inner loops over contiguous int32 and float32 arrays: no classes, no input or output.

Importing this package has Numba's threads wait passively: it sets OMP_WAIT_POLICY to `passive`
unless the environment says otherwise. Threads that spin at a barrier take the core from the
very thread they wait for when other processes want it too; beside four busy ones an epoch on two
cores then took 26 times as long as with one thread. Sleeping costs some microseconds per
barrier, and kernels make few of them. The OpenMP runtime reads the variable when it is loaded,
which is when the first parallel kernel is called.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
