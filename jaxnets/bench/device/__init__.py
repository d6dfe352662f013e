"""All measurements for an accelerator that can be used for some minutes.

`benchmarks/on_device.py` is the command. One process keeps the results (`supervisor`)
and another one measures (`worker`). If a kernel hangs or breaks the device, a new
worker continues without it, and only one contender of one row is lost. The worker takes
the `groups` of jobs in the order of importance. The programs of a few jobs are compiled
at the same time, in threads (`session`). Then each job times its programs alone
(`rows`), or compares their results with those of a CPU (`checks`).
"""
