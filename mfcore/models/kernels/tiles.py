"""The hot loops of the trainers, on tiles and rows held in registers, and what their threads tell each other.

Grams, Cholesky factors and right-hand sides are all sums of outer products

    out[r, c] ±= Σ_p a[p, r] · b[p, c]

LLVM does not find a register tiling for this by itself, so the tile is spelled out: its
accumulators stay in vector registers while p runs, and each step costs `vectors` loads,
`rows` broadcasts and `rows · vectors` fused multiply-adds. What is left of a Cholesky factor
is forward substitution within a block of rows, spelled out as well. Gradient descent visits a
rating by a dot product of two rows and a step of both: rows that fit into registers are read once
for the two.

This is the one file that writes LLVM's language, through llvmlite, whose ways may change with any
minor version of Numba. `plain` holds the same loops without it, and `primitives` takes those by
itself, with a warning, where these can't be built or compute something else. So after a change
here, or with another Numba, remove what Numba has cached, since it looks only at the file that a
kernel is in, not at what the kernel is made of. Then:

1. `pytest tests/unit/models/kernels` compares each loop of both files with NumPy.
2. `pytest -s -m slow tests/unit/models/kernels` trains by both, compares the scores and prints the seconds.
3. If tiles are refused: most likely pointers lost their types (`as_pointer`, `bitcast` and the type
   that `load` and `gep` then want), or an LLVM intrinsic was renamed ("llvm.…"). The lengths of
   vectors and the order of operations decide the bits of a model, so leave those as they are.
"""

from typing import Any, no_type_check

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "LANES",
    "NARROW",
    "ROWS",
    "is_raised",
    "make_dots",
    "make_pivots",
    "make_substitution",
    "make_tile",
    "prefetch",
    "prove",
    "raise_flag",
    "take_number",
    "visit",
]

_WIDE = bool(binding.get_host_cpu_features().get("avx512f"))
LANES = 16 if _WIDE else 8
"""Floats in a vector register; row lengths are padded to a multiple of it."""
_REGISTERS = 32 if _WIDE else 16
"""Vector registers."""
ROWS = 8 if _WIDE else 4
"""Rows of a tile: half of LANES, and few enough that the sums of 3 vectors leave registers for the operands."""
NARROW = LANES // 2 if _WIDE else LANES
"""Floats across the narrowest tile: half vectors ending a triangle save time only where they come in enough rows."""
_ROW_VECTORS = 8
"""Vectors of a row up to which `visit` is spelled out: 128 factors where LANES is 16."""


def make_tile(rows: int, vectors: int, subtract: bool = False, lanes: int = LANES) -> Any:
    """An intrinsic that adds (or subtracts) n outer products to a tile of `rows` × `vectors` · `lanes` floats.

    The intrinsic's arguments are three float32 arrays in C order, each followed by the
    offset of its first element and the distance of its rows in elements, and n.
    """

    @intrinsic
    @no_type_check
    def tile(context, out, out_at, out_stride, a, a_at, a_stride, b, b_at, b_stride, n):
        size = types.intp
        signature = types.void(out, size, size, a, size, size, b, size, size, size)

        def generate(context, builder, signature, args):
            pen = _Pen(context, builder, signature, args, lanes)
            index, at = args[1].type, pen.at
            out_base, a_base, b_base = pen.pointer(0), pen.pointer(3), pen.pointer(6)
            sums = {}
            for r in range(rows):
                row_offset = builder.mul(args[2], ir.Constant(index, r))
                for v in range(vectors):
                    target = at(out_base, row_offset, v * lanes)
                    sums[r, v] = cgutils.alloca_once(builder, pen.vector), target
                    builder.store(builder.load(target, align=4), sums[r, v][0])
            with cgutils.for_range(builder, args[9]) as loop:
                a_row = builder.gep(a_base, [builder.mul(loop.index, args[5])])
                b_offset = builder.mul(loop.index, args[8])
                across = [builder.load(at(b_base, b_offset, v * lanes), align=4) for v in range(vectors)]
                for r in range(rows):
                    value = builder.load(builder.gep(a_row, [ir.Constant(index, r)]), align=4)
                    if subtract:
                        value = builder.fneg(value)
                    spread = pen.spread(value)
                    for v in range(vectors):
                        place = sums[r, v][0]
                        builder.store(pen.fused(spread, across[v], builder.load(place)), place)
            for place, target in sums.values():
                builder.store(builder.load(place), target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return tile


def make_pivots(rows: int) -> Any:
    """An intrinsic that factors a block of `rows` × `rows` floats into UᵀU, all of it in registers.

    Its arguments are the array that holds the block's upper half, the offset of the first element
    and the distance of its rows; where U's strict upper half goes, row by row; where the
    reciprocals of U's diagonal go. The block stays as it is. Pivots that vanish are raised to 1e-12.
    """

    @intrinsic
    @no_type_check
    def factor(context, block, block_at, stride, upper, upper_at, reciprocal, reciprocal_at):
        size = types.intp
        signature = types.void(block, size, size, upper, size, reciprocal, size)

        def generate(context, builder, signature, args):
            pen = _Pen(context, builder, signature, args, LANES)
            base, upper_base, reciprocal_base = pen.pointer(0), pen.pointer(3), pen.pointer(5)
            real, index = ir.FloatType(), args[1].type
            unit, least = ir.Constant(real, 1.0), ir.Constant(real, 1e-12)
            root = cgutils.get_or_insert_function(builder.module, ir.FunctionType(real, [real]), "llvm.sqrt.f32")
            left = {}
            for r in range(rows):
                row = builder.gep(base, [builder.mul(args[2], ir.Constant(index, r))])
                for c in range(r, rows):
                    left[r, c] = builder.load(builder.gep(row, [ir.Constant(index, c)]), align=4)
            for r in range(rows):
                is_more = builder.fcmp_ordered(">", left[r, r], least)
                pivot = builder.select(is_more, left[r, r], least)
                scale = builder.fdiv(unit, builder.call(root, [pivot]))
                builder.store(scale, builder.gep(reciprocal_base, [ir.Constant(index, r)]), align=4)
                for c in range(r + 1, rows):
                    left[r, c] = builder.fmul(left[r, c], scale)
                    builder.store(left[r, c], builder.gep(upper_base, [ir.Constant(index, r * rows + c)]), align=4)
                for below in range(r + 1, rows):
                    for c in range(below, rows):
                        product = builder.fmul(left[r, below], left[r, c], flags=["contract"])
                        left[below, c] = builder.fsub(left[below, c], product, flags=["contract"])
            return context.get_dummy_value()

        return signature, generate

    return factor


def make_substitution(rows: int) -> Any:
    """An intrinsic that solves UᵀX = A for one vector of columns, X taking the place of A.

    Its arguments are the array that holds A, the offset of A's first element and the distance of
    its rows, then U as `make_pivots` leaves it.
    """

    @intrinsic
    @no_type_check
    def substitute(context, out, out_at, out_stride, upper, upper_at, reciprocal, reciprocal_at):
        size = types.intp
        signature = types.void(out, size, size, upper, size, reciprocal, size)

        def generate(context, builder, signature, args):
            pen = _Pen(context, builder, signature, args, LANES)
            out_base, upper_base, reciprocal_base = pen.pointer(0), pen.pointer(3), pen.pointer(5)
            index = args[1].type

            def scalar(base, offset):
                return pen.spread(builder.load(builder.gep(base, [ir.Constant(index, offset)]), align=4))

            places = [pen.at(out_base, builder.mul(args[2], ir.Constant(index, r)), 0) for r in range(rows)]
            solved = []
            for r, place in enumerate(places):
                value = builder.load(place, align=4)
                for above in range(r):
                    value = pen.fused(builder.fneg(scalar(upper_base, above * rows + r)), solved[above], value)
                solved.append(builder.fmul(value, scalar(reciprocal_base, r)))
            for value, place in zip(solved, places, strict=True):
                builder.store(value, place, align=4)
            return context.get_dummy_value()

        return signature, generate

    return substitute


def make_dots(rows: int) -> Any:
    """An intrinsic that sets out[r] to the dot product of row r of a and x, for `rows` rows.

    Its arguments are out and its offset; a, the offset of its first element and the distance of
    its rows; x and its offset; the length, a multiple of LANES / 2.
    """
    lanes = LANES // 2

    @intrinsic
    @no_type_check
    def dots(context, out, out_at, a, a_at, a_stride, x, x_at, n):
        size = types.intp
        signature = types.void(out, size, a, size, size, x, size, size)

        def generate(context, builder, signature, args):
            pen = _Pen(context, builder, signature, args, lanes)
            out_base, a_base, x_base = pen.pointer(0), pen.pointer(2), pen.pointer(5)
            real, index = ir.FloatType(), args[1].type
            kind = ir.FunctionType(real, [real, pen.vector])
            add_up = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{lanes}f32")
            sums = [cgutils.alloca_once(builder, pen.vector) for _ in range(rows)]
            for place in sums:
                builder.store(ir.Constant(pen.vector, [0.0] * lanes), place)
            with cgutils.for_range(builder, builder.sdiv(args[7], ir.Constant(index, lanes))) as loop:
                at = builder.mul(loop.index, ir.Constant(index, lanes))
                across = builder.load(pen.at(x_base, at, 0), align=4)
                for r, place in enumerate(sums):
                    offset = builder.add(at, builder.mul(args[4], ir.Constant(index, r)))
                    line = builder.load(pen.at(a_base, offset, 0), align=4)
                    builder.store(pen.fused(line, across, builder.load(place)), place)
            for r, place in enumerate(sums):
                total = builder.call(add_up, [ir.Constant(real, 0.0), builder.load(place)], fastmath=("reassoc",))
                builder.store(total, builder.gep(out_base, [ir.Constant(index, r)]), align=4)
            return context.get_dummy_value()

        return signature, generate

    return dots


@intrinsic
@no_type_check
def prefetch(context, array, at):
    """Have the cache line that holds element `at` of `array` brought near; `at` may lie anywhere."""
    signature = types.void(array, types.intp)

    def generate(context, builder, signature, args):
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(base, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To read; near, but not into the smallest cache, which the panel fills; as data.
        builder.call(fetch, [place, *(ir.Constant(number, hint) for hint in (0, 2, 1))])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
@no_type_check
def visit(context, x, x_at, y, y_at, n, target, step, lost, keep_x, keep_y):
    """Take a step of gradient descent for two rows x and y of n floats; returns x·y as it was before.

    With m = step · target − lost · x·y, x becomes keep_x · x + m · y, and y likewise keep_y · y + m · x. Arrays and
    offsets are as in a tile; n is a multiple of LANES.
    """
    size, real = types.intp, types.float32
    signature = real(x, size, y, size, size, real, real, real, real, real)

    def generate(context, builder, signature, args):
        pen = _Pen(context, builder, signature, args, LANES)
        bases = pen.pointer(0), pen.pointer(2)
        index, zero = args[1].type, ir.Constant(ir.FloatType(), 0.0)
        kind = ir.FunctionType(zero.type, [zero.type, pen.vector])
        add_up = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        keep_x, keep_y = pen.spread(args[8]), pen.spread(args[9])
        product = cgutils.alloca_once(builder, zero.type)

        def pair(at):
            return [pen.at(base, at, 0) for base in bases]

        def read(places):
            return [builder.load(place, align=4) for place in places]

        def find_move(total):
            dot = builder.call(add_up, [zero, total], fastmath=("reassoc",))
            builder.store(dot, product)
            pulled = builder.fmul(args[6], args[5])
            return pen.spread(builder.fsub(pulled, builder.fmul(args[7], dot), flags=["contract"]))

        def write(places, values, move):
            x, y = values
            builder.store(pen.fused(move, y, builder.fmul(keep_x, x)), places[0], align=4)
            builder.store(pen.fused(move, x, builder.fmul(keep_y, y)), places[1], align=4)

        n_vectors = builder.sdiv(args[4], ir.Constant(index, LANES))
        long, end = builder.append_basic_block("long"), builder.append_basic_block("end")
        chosen = builder.switch(n_vectors, long)
        for count in range(1, _ROW_VECTORS + 1):
            block = builder.append_basic_block(f"of_{count}")
            chosen.add_case(ir.Constant(index, count), block)
            builder.position_at_end(block)
            places = [pair(ir.Constant(index, v * LANES)) for v in range(count)]
            rows = [read(place) for place in places]
            # Two chains of additions, so that one need not wait for the other.
            sums = [builder.fmul(x, y) for x, y in rows[:2]]
            for v, (x, y) in enumerate(rows[2:]):
                sums[v % 2] = pen.fused(x, y, sums[v % 2])
            move = find_move(builder.fadd(*sums) if count > 1 else sums[0])
            are_held = 2 * count + 3 <= _REGISTERS  # beside the move and the two that are kept; else read again
            for place, row in zip(places, rows, strict=True):
                write(place, row if are_held else read(place), move)
            builder.branch(end)
        builder.position_at_end(long)
        total = cgutils.alloca_once_value(builder, ir.Constant(pen.vector, [0.0] * LANES))
        with cgutils.for_range(builder, n_vectors) as loop:
            x, y = read(pair(builder.mul(loop.index, ir.Constant(index, LANES))))
            builder.store(pen.fused(x, y, builder.load(total)), total)
        move = find_move(builder.load(total))
        with cgutils.for_range(builder, n_vectors) as loop:
            places = pair(builder.mul(loop.index, ir.Constant(index, LANES)))
            write(places, read(places), move)
        builder.branch(end)
        builder.position_at_end(end)
        return builder.load(product)

    return signature, generate


@intrinsic
@no_type_check
def take_number(context, counter):
    """Read counter[0], an int64, and add 1 to it, whatever other threads do meanwhile."""

    def generate(context, builder, signature, args):
        place = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "acq_rel")

    return types.int64(counter), generate


@intrinsic
@no_type_check
def raise_flag(context, flags, at):
    """Set flags[at], a uint8, to 1; who sees it sees all that this thread has written before."""

    def generate(context, builder, signature, args):
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.store_atomic(ir.Constant(ir.IntType(8), 1), builder.gep(base, [args[1]]), "release", 1)
        return context.get_dummy_value()

    return types.void(flags, types.intp), generate


@intrinsic
@no_type_check
def is_raised(context, flags, at):
    """Whether flags[at], a uint8, is set; if so, what its thread had written before can be read."""

    def generate(context, builder, signature, args):
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        flag = builder.load_atomic(builder.gep(base, [args[1]]), "acquire", 1)
        return builder.icmp_unsigned("!=", flag, ir.Constant(ir.IntType(8), 0))

    return types.boolean(flags, types.intp), generate


class _Pen:
    """What the intrinsics write: pointers into arrays, vectors of `lanes` floats, fused multiply-adds."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, lanes: int) -> None:
        self.context, self.builder, self.signature, self.args = context, builder, signature, args
        self.vector = ir.VectorType(ir.FloatType(), lanes)
        self.nothing = ir.Constant(self.vector, ir.Undefined)
        self.zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self.fmuladd = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{lanes}f32")  # type: ignore[no-untyped-call]

    def pointer(self, position: int) -> Any:
        """To the element of an array argument at the offset that the next argument gives."""
        array = self.context.make_array(self.signature.args[position])(self.context, self.builder, self.args[position])
        return self.builder.gep(array.data, [self.args[position + 1]])

    def at(self, base: Any, row_offset: Any, lane: int) -> Any:
        """To a vector."""
        offset = self.builder.add(row_offset, ir.Constant(row_offset.type, lane))
        return self.builder.bitcast(self.builder.gep(base, [offset]), self.vector.as_pointer())

    def spread(self, value: Any) -> Any:
        """A vector of one float."""
        first = self.builder.insert_element(self.nothing, value, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(first, self.nothing, self.zeros)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """The sum of a · b and c."""
        return self.builder.call(self.fmuladd, [a, b, c])


_tile, _pivots, _substitute, _dots = make_tile(2, 1), make_pivots(2), make_substitution(2), make_dots(2)


def prove() -> None:
    """Compile and run one of each.

    Raises:
        ArithmeticError: they don't compute what they should.
    """
    # Rows of 3 and of 4, to which one of 1 is added: the block [[4, 4], [·, 5]] is UᵀU with U = [[2, 2], [0, 1]].
    system, out = np.repeat(np.array([3, 4, 1], np.float32), LANES), np.zeros(2, np.float32)
    flags, counter = np.zeros(2, np.uint8), np.zeros(1, np.int64)
    dot, told = _run(system, np.zeros(4, np.float32), np.zeros(2, np.float32), out, flags, counter)
    # Then rows of 2 and of 1, whose product is 2 · LANES: half of each and a quarter of the other.
    solved = np.repeat(np.array([1.25, 1], np.float32), LANES)
    is_right = np.allclose(system[: 2 * LANES], solved) and np.allclose(out, [4 * LANES, 2 * LANES])
    if not is_right or dot != 2 * LANES or told != 1 or counter[0] != 2 or flags.tolist() != [0, 1]:
        raise ArithmeticError("they compute something else than they should")


@njit(cache=True)
@no_type_check
def _run(system, upper, reciprocal, out, flags, counter):
    prefetch(system, 0)
    _tile(system, 0, LANES, system, 2 * LANES, LANES, system, 2 * LANES, LANES, 1)
    _pivots(system, 0, LANES, upper, 0, reciprocal, 0)
    _substitute(system, 0, LANES, upper, 0, reciprocal, 0)
    _dots(out, 0, system, 0, LANES, system, 0, LANES)
    half = np.float32(0.5)
    dot = visit(system, 0, system, LANES, LANES, half, half, np.float32(0), half, half)
    take_number(counter)
    raise_flag(flags, take_number(counter))
    return dot, is_raised(flags, 0) + is_raised(flags, 1)
