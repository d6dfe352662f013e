"""Small programs as the compilers write them, without what the reader leaves out."""

from pathlib import Path


HERE = Path(__file__).parent
# A scan of ten steps for a GPU, which knows how often the loop runs.
GPU_SCAN = (HERE / "gpu_scan.hlo").read_text()
# Two nested loops for a TPU, of 3 and 5 steps. The step and the start of the inner one
# are carried by the outer one and never change.
TPU_LOOPS = (HERE / "tpu_loops.hlo").read_text()


def program(entry: str, *computations: str) -> str:
    """A program of other computations and the lines of ENTRY."""
    parts = ["HloModule m", *computations, "ENTRY %main () -> f32[] {"]
    return "\n".join([*parts, *(f"  {line}" for line in entry.split("\n")), "}"])


def fusion(name: str, *lines: str) -> str:
    """The computation of a fusion."""
    return "\n".join([f"%{name} () -> f32[] {{", *(f"  {line}" for line in lines), "}"])
