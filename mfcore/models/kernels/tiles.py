"""The one hot loop of the row solvers: a rank-n update of a tile held in registers.

Grams, Cholesky factors and right-hand sides are all sums of outer products

    out[r, c] ±= Σ_p a[p, r] · b[p, c]

LLVM does not find a register tiling for this by itself, so the tile is spelled out: its
accumulators stay in vector registers while p runs, and each step costs `vectors` loads,
`rows` broadcasts and `rows · vectors` fused multiply-adds.
"""

from typing import Any, no_type_check

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "VECTORS", "make_tile"]

_WIDE = bool(binding.get_host_cpu_features().get("avx512f"))
LANES = 16 if _WIDE else 8
"""Floats in a vector register; row lengths are padded to a multiple of it."""
ROWS = 8 if _WIDE else 4
"""Rows of a full tile; it divides LANES."""
VECTORS = 3 if _WIDE else 2
"""Vectors across a full tile: ROWS · VECTORS accumulators leave registers for the operands."""


def make_tile(rows: int, vectors: int, subtract: bool = False) -> Any:
    """An intrinsic that adds (or subtracts) n outer products to a tile of `rows` × `vectors` · LANES floats.

    The intrinsic's arguments are three float32 arrays in C order, each followed by the
    offset of its first element and the distance of its rows in elements, and n.
    """

    @intrinsic
    @no_type_check
    def tile(context, out, out_at, out_stride, a, a_at, a_stride, b, b_at, b_stride, n):
        size = types.intp
        signature = types.void(out, size, size, a, size, size, b, size, size, size)

        def generate(context, builder, signature, args):
            def pointer(position):
                array = context.make_array(signature.args[position])(context, builder, args[position])
                return builder.gep(array.data, [args[position + 1]])

            vector = ir.VectorType(ir.FloatType(), LANES)
            index = args[1].type
            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{LANES}f32"
            )
            nothing = ir.Constant(vector, ir.Undefined)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)

            def at(base, row_offset, lane):
                offset = builder.add(row_offset, ir.Constant(index, lane))
                return builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())

            out_base, a_base, b_base = pointer(0), pointer(3), pointer(6)
            sums = {}
            for r in range(rows):
                row_offset = builder.mul(args[2], ir.Constant(index, r))
                for v in range(vectors):
                    target = at(out_base, row_offset, v * LANES)
                    sums[r, v] = cgutils.alloca_once(builder, vector), target
                    builder.store(builder.load(target, align=4), sums[r, v][0])
            with cgutils.for_range(builder, args[9]) as loop:
                a_row = builder.gep(a_base, [builder.mul(loop.index, args[5])])
                b_offset = builder.mul(loop.index, args[8])
                across = [builder.load(at(b_base, b_offset, v * LANES), align=4) for v in range(vectors)]
                for r in range(rows):
                    one = builder.load(builder.gep(a_row, [ir.Constant(index, r)]), align=4)
                    if subtract:
                        one = builder.fneg(one)
                    spread = builder.insert_element(nothing, one, ir.Constant(ir.IntType(32), 0))
                    spread = builder.shuffle_vector(spread, nothing, zeros)
                    for v in range(vectors):
                        place = sums[r, v][0]
                        builder.store(builder.call(fused, [spread, across[v], builder.load(place)]), place)
            for place, target in sums.values():
                builder.store(builder.load(place), target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return tile
