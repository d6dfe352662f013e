"""The reader of compiled programs."""

import pytest

from jaxnets.bench.compiled.hlo import Array, arrays, read_module
from tests.bench.compiled.texts import TPU_LOOPS, program


@pytest.mark.parametrize(
    ("shape", "nbytes", "space"),
    [
        ("f32[32,128]{1,0}", 32 * 128 * 4, 0),
        ("bf16[3,5]{1,0}", 30, 0),
        ("pred[7]{0}", 7, 0),
        ("s4[10]{0}", 5, 0),
        ("f32[]", 4, 0),
        # Tiles of 8 x 128 pad the two axes that are fastest in memory.
        ("f32[32,32,32,3]{2,1,3,0:T(8,128)}", 32 * 3 * 32 * 128 * 4, 0),
        ("bf16[7,5,64]{2,0,1:T(8,128)(2,1)S(1)}", 5 * 8 * 128 * 2, 1),
        ("f32[1000]{0:T(1024)}", 4096, 0),
        ("u32[]{:S(2)}", 4, 2),
    ],
)
def test_the_bytes_of_an_array(shape, nbytes, space):
    module = read_module(program(f"ROOT %a = {shape} custom-call()"), "tpu")
    (array,) = arrays(module.computations["main"].instructions["a"].shape)
    assert (array.nbytes, array.space) == (nbytes, space)


def test_an_instruction_is_read_with_all_that_it_names():
    line = (
        "ROOT %fusion.1 = (f32[2,3]{1,0}, (s32[], pred[4]{0}), /*index=2*/f32[]) "
        "fusion(%a, /*index=1*/%b-c.2), kind=kLoop, calls=%inside.3, "
        'metadata={op_name="jit(f)/%not this(one)"}'
    )
    module = read_module(program(line), "cuda")
    found = module.computations["main"].instructions["fusion.1"]
    assert found.opcode == "fusion" and found.operands == ("a", "b-c.2")
    assert found.called == {"calls": ("inside.3",)}
    assert found.shape == (
        Array("f32", (2, 3), (1, 0)),
        (Array("s32"), Array("pred", (4,), (0,))),
        Array("f32"),
    )
    assert module.computations["main"].root == "fusion.1"


def test_all_computations_are_read():
    module = read_module(TPU_LOOPS, "tpu")
    assert module.entry == "main" and len(module.computations) == 5
    loop = module.computations["main"].instructions["while"]
    assert loop.called == {"condition": ("outer_condition",), "body": ("outer_body",)}


def test_a_text_that_is_no_program_is_told():
    with pytest.raises(ValueError, match=r"`text` has no ENTRY"):
        read_module("nothing", "tpu")
