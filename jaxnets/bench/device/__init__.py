"""All measurements for an accelerator that is at hand for some minutes.

`benchmarks/on_device.py` is the command. One process keeps the results (`supervisor`)
and another one measures (`worker`), so that a kernel that hangs or breaks the device
loses one contender of one row: the worker is replaced and goes on after it. The worker
takes the `groups` of jobs in the order of importance. A job compiles its programs in
threads, beside those of a few others (`session`), and then times them alone (`rows`) or
compares their results with a CPU (`checks`).
"""
