"""What is counted of a compiled program."""

import jax
import jax.numpy as jnp
import pytest

from jaxnets.bench.compiled.cost import cost_of
from jaxnets.bench.compiled.hlo import read_module
from tests.bench.compiled.texts import GPU_SCAN, TPU_LOOPS, fusion, program


STATE = 32 * 128 * 4


def text_cost(text: str, platform: str = "cuda"):
    return cost_of(read_module(text, platform))


def test_a_loop_for_a_gpu_counts_as_often_as_it_runs():
    found = text_cost(GPU_SCAN)
    # The state, one slice of the input and the index are read, the state is written;
    # the counter is read and written. One copy comes before the loop.
    assert found.moved == found.main == 10 * (3 * STATE + 4 + 8) + 8
    assert found.kernels == 10 * 2 + 1
    assert found.flops == 10 * (32 * 128 + 1)
    assert found.loops == 0


def test_how_often_a_loop_runs_follows_from_its_text():
    without = GPU_SCAN.replace("known_trip_count", "unsaid")
    assert text_cost(without) == text_cost(GPU_SCAN)


def test_a_loop_of_unknown_length_counts_once_and_says_so():
    without = GPU_SCAN.replace("known_trip_count", "unsaid")
    found = text_cost(without.replace("direction=LT", "direction=EQ"))
    assert (found.kernels, found.loops) == (2 + 1, 1)


@pytest.mark.parametrize(
    ("direction", "bound", "start", "runs"),
    [("LT", 11, 0, 11), ("LE", 11, 0, 12), ("NE", 4, 1, 3), ("LT", 3, 7, 0)],
)
def test_the_condition_of_a_loop(direction, bound, start, runs):
    text = GPU_SCAN.replace("known_trip_count", "unsaid")
    text = text.replace("constant(10)", f"constant({bound})")
    text = text.replace(
        "%start = s32[] constant(0)", f"%start = s32[] constant({start})"
    )
    text = text.replace("direction=LT", f"direction={direction}")
    assert text_cost(text).kernels == 2 * runs + 1


def test_loops_for_a_tpu_nest():
    found = text_cost(TPU_LOOPS, "tpu")
    # The inner loop steps by two from zero to below ten, the outer one down from two.
    # Counters are no kernels there, nor is the copy that runs beside them.
    assert found.kernels == 3 * 5 + 1
    assert found.loops == 0
    array = 8 * 128 * 4
    # The copies in and out, and the same array read and written in VMEM in each step.
    scalars = 3 * 5 * (3 * 4) + 3 * (3 * 4) + 8
    assert found.moved == 4 * array + 15 * 2 * array + scalars
    assert found.main == 2 * array + scalars


SHIFTS = fusion(
    "shifts",
    "%p = f32[1,10]{1,0} parameter(0)",
    "%a = f32[1,8]{1,0} slice(%p), slice={[0:1], [0:8]}",
    "%b = f32[1,8]{1,0} slice(%p), slice={[0:1], [1:9]}",
    "%c = f32[1,8]{1,0} slice(%p), slice={[0:1], [2:10]}",
    "%d = f32[1,8]{1,0} add(%a, %b)",
    "ROOT %e = f32[1,8]{1,0} add(%c, %d)",
)
ONE = "%x = f32[1,10]{1,0} parameter(0)\n"


def test_slices_that_overlap_are_read_once_by_a_gpu_and_each_by_a_tpu():
    entry = ONE + "ROOT %f = f32[1,8]{1,0} fusion(%x), kind=kLoop, calls=%shifts"
    assert text_cost(program(entry, SHIFTS), "cuda").moved == 4 * (10 + 8)
    assert text_cost(program(entry, SHIFTS), "tpu").moved == 4 * (3 * 8 + 8)


def test_what_a_fusion_slices_later_is_not_read_either():
    inside = fusion(
        "half",
        "%p = f32[1,10]{1,0} parameter(0)",
        "%n = f32[1,10]{1,0} negate(%p)",
        "ROOT %s = f32[1,5]{1,0} slice(%n), slice={[0:1], [0:5]}",
    )
    entry = ONE + "ROOT %f = f32[1,5]{1,0} fusion(%x), kind=kLoop, calls=%half"
    assert text_cost(program(entry, inside)).moved == 4 * (5 + 5)


def test_two_users_share_a_reading():
    inside = fusion(
        "square",
        "%p = f32[1,10]{1,0} parameter(0)",
        "%n = f32[1,10]{1,0} negate(%p)",
        "ROOT %s = f32[1,10]{1,0} multiply(%n, %p)",
    )
    entry = ONE + "ROOT %f = f32[1,10]{1,0} fusion(%x), kind=kLoop, calls=%square"
    assert text_cost(program(entry, inside), "tpu").moved == 4 * (10 + 10)


UPDATE = (
    "%p = f32[100]{0} parameter(0)",
    "%u = f32[3]{0} parameter(1)",
    "%i = s32[] parameter(2)",
)
ARGUMENTS = """%x = f32[100]{0} parameter(0)
%u.1 = f32[3]{0} parameter(1)
%i.1 = s32[] parameter(2)
"""


@pytest.mark.parametrize(
    ("lines", "elements"),
    [
        # In place: the update is read and written.
        (["ROOT %d = f32[100]{0} dynamic-update-slice(%p, %u, %i)"], 3 + 3),
        # The same behind a view and in a tuple.
        (
            [
                "%d = f32[100]{0} dynamic-update-slice(%p, %u, %i)",
                "%v = f32[100]{0} bitcast(%d)",
                "ROOT %t = (f32[100]{0}) tuple(%v)",
            ],
            3 + 3,
        ),
        # Not in place: what is updated is computed in the same kernel.
        (
            [
                "%n = f32[100]{0} negate(%p)",
                "ROOT %d = f32[100]{0} dynamic-update-slice(%n, %u, %i)",
            ],
            100 + 3 + 100,
        ),
        # Not in place: something else follows.
        (
            [
                "%d = f32[100]{0} dynamic-update-slice(%p, %u, %i)",
                "ROOT %n = f32[100]{0} negate(%d)",
            ],
            100 + 3 + 100,
        ),
    ],
)
def test_updates_in_place(lines, elements):
    entry = ARGUMENTS + (
        "ROOT %f = f32[100]{0} fusion(%x, %u.1, %i.1), kind=kLoop, calls=%update"
    )
    text = program(entry, fusion("update", *UPDATE, *lines))
    assert text_cost(text).moved == 4 * elements + 4


def test_instructions_outside_a_fusion_follow_the_same_rules():
    entry = ARGUMENTS + (
        "%d = f32[100]{0} dynamic-update-slice(%x, %u.1, %i.1)\n"
        "ROOT %s = f32[20]{0} slice(%d), slice={[0:20]}"
    )
    assert text_cost(program(entry)).moved == 4 * (3 + 3 + 1) + 4 * (20 + 20)


def test_instructions_that_run_beside_others_count_once():
    entry = """%x = f32[64,8]{1,0:T(8,128)} parameter(0)
%s = ((f32[64,8]{1,0:T(8,128)}), f32[8,8]{1,0:T(8,128)S(1)}, s32[]) slice-start(%x)
%f = f32[8,8]{1,0:T(8,128)S(1)} slice-done(%s)
%b = f32[8,8]{1,0:T(8,128)S(1)} custom-call(%f), custom_call_target="ConcatBitcast"
ROOT %n = f32[8,8]{1,0:T(8,128)} negate(%b)"""
    found = text_cost(program(entry), "tpu")
    padded = 8 * 128 * 4
    assert (found.moved, found.main) == (4 * padded, 2 * padded)
    assert found.kernels == 1


def test_of_a_conditional_the_dearer_branch_counts():
    branch = lambda name, size: fusion(
        name,
        f"%x = f32[{size}]{{0}} parameter(0)",
        f"ROOT %n = f32[{size}]{{0}} negate(%x)",
    )
    entry = """%i = s32[] parameter(0)
%x = f32[5]{0} parameter(1)
%y = f32[9]{0} parameter(2)
ROOT %c = f32[] conditional(%i, %x, %y), branch_computations={%few, %many}"""
    text = program(entry, branch("few", 5), branch("many", 9))
    assert text_cost(text).moved == 4 * 18


def convolution(strides, padding, dilations, groups, batch_groups=1):
    """A convolution's own count of products, by taking it of ones, and its text."""
    lhs, rhs = dilations
    x, kernel = (4, 7, 6, 4), (3, 2, 4 // groups, 8)
    value = jax.lax.conv_general_dilated(
        jnp.ones(x),
        jnp.ones(kernel),
        strides,
        padding,
        lhs,
        rhs,
        ("NHWC", "HWIO", "NHWC"),
        groups,
        batch_groups,
    )
    cross = lambda numbers: "x".join(map(str, numbers))
    window = (
        f"size={cross(kernel[:2])} stride={cross(strides)} "
        f"pad={cross(f'{a}_{b}' for a, b in padding)} "
        f"lhs_dilate={cross(lhs)} rhs_dilate={cross(rhs)}"
    )
    options = (
        f"window={{{window}}}, dim_labels=b01f_01io->b01f, "
        f"feature_group_count={groups}, batch_group_count={batch_groups}"
    )
    shapes = (
        f"f32[{','.join(map(str, s))}]{{3,2,1,0}}" for s in (x, kernel, value.shape)
    )
    return float(value.sum()), options, *shapes


CONVOLUTIONS = [
    ((1, 1), ((1, 1), (0, 1)), ((1, 1), (1, 1)), 1),
    ((2, 1), ((0, 2), (3, 1)), ((1, 1), (2, 1)), 2),
    ((1, 2), ((2, 2), (-1, 2)), ((2, 3), (1, 2)), 4),
    ((1, 1), ((1, 1), (1, 1)), ((1, 1), (1, 1)), 1, 2),
]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_operations_of_convolutions(case):
    products, options, x, kernel, y = convolution(*case)
    entry = f"""%x = {x} parameter(0)
%k = {kernel} parameter(1)
ROOT %y = {y} convolution(%x, %k), {options}"""
    assert text_cost(program(entry)).flops == 2 * products


def test_operations_of_the_convolutions_of_cudnn():
    products, options, x, kernel, y = convolution(*CONVOLUTIONS[1])
    call = lambda result, operands, name: (
        f"({result}, u8[0]{{0}}) custom-call({operands}), {options}, "
        f'custom_call_target="__cudnn$conv{name}"'
    )
    entry = f"""%x = {x} parameter(0)
%k = {kernel} parameter(1)
%f = {call(y, "%x, %k", "Forward")}
%y = {y} get-tuple-element(%f), index=0
%i = {call(x, "%y, %k", "BackwardInput")}
ROOT %w = {call(kernel, "%x, %y", "BackwardFilter")}"""
    found = text_cost(program(entry))
    assert found.flops == 3 * 2 * products and found.kernels == 3


def test_operations_of_products_and_reductions():
    inside = fusion(
        "product",
        "%p = f32[5,3,7]{2,1,0} parameter(0)",
        "%q = f32[5,7,2]{2,1,0} parameter(1)",
        "%d = f32[5,3,2]{2,1,0} dot(%p, %q), lhs_contracting_dims={2}",
        "%z = f32[] constant(0)",
        "%r = f32[5]{0} reduce(%d, %z), dimensions={1,2}, to_apply=%sum",
        "%w = f32[3]{0} reduce-window(%r, %z), window={size=3}, to_apply=%sum",
        "ROOT %t = f32[3]{0} tanh(%w)",
    )
    entry = """%a = f32[5,3,7]{2,1,0} parameter(0)
%b = f32[5,7,2]{2,1,0} parameter(1)
%f = f32[3]{0} fusion(%a, %b), kind=kLoop, calls=%product
%c = f32[3,7]{1,0} parameter(2)
%e = f32[7,2]{1,0} parameter(3)
%g = (f32[3,2]{1,0}, s8[64]{0}) custom-call(%c, %e), """
    entry += """custom_call_target="__cublas$gemm", """
    entry += """backend_config={"lhs_contracting_dimensions":["1"]}
ROOT %k = f32[9]{0} custom-call(%f), custom_call_target="tpu_custom_call", """
    entry += """backend_config={"cost_estimate":{"flops":"1000","bytes":"7"}}"""
    found = text_cost(program(entry, inside))
    dot, reduced, windows, tanh = 2 * 5 * 3 * 2 * 7, 30, 3 * 2, 3
    assert found.flops == dot + reduced + windows + tanh + 2 * 3 * 2 * 7 + 1000
    # The workspace of cuBLAS does not count.
    fused, library, kernel = 5 * 3 * 7 + 5 * 7 * 2 + 3, 3 * 7 + 7 * 2 + 3 * 2, 3 + 9
    assert found.moved == 4 * (fused + library + kernel)
