"""The PyTorch side: a script that answers requests, one JSON object a line.

    python peer.py DEVICE THREADS

It imports nothing from jaxnets, so any interpreter that has PyTorch can run it. PyTorch
runs eagerly, in the channels-last memory format, with its default settings except for
cuDNN's `benchmark`, which searches for the fastest kernel as XLA does.

The first line that it prints holds its version, threads and device. It answers three
requests:

- `{"do": "prepare", "spec": ..., "direction": ...}` prepares a computation; `"arrays"`
  may hold the arguments in the layouts of jaxnets;
- `{"do": "time", "calls": n, "before": m}` makes m calls and then times n calls;
- `{"do": "outputs"}` returns the results of the computation.

If a request fails, the answer is `{"error": text}`.
"""
# pyright: reportMissingImports=false

import gc
import json
import sys
import time


try:
    import torch
    import torch.nn.functional as F

    # Beside this file, which is run as a script.
    from recurrence import CLASSES, ManyToOne, prepared_recurrence
except ImportError as missing:
    print(json.dumps({"error": str(missing)}))
    sys.exit()

DEVICE, THREADS = sys.argv[1:] if len(sys.argv) == 3 else ("cpu", "1")
MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def dense(array):
    """Return the array in the channels-last memory format, if its rank has one."""
    memory_format = MEMORY_FORMATS.get(array.ndim, torch.contiguous_format)
    return array.contiguous(memory_format=memory_format)


def from_channels_last(array):
    """Turn `(batch, *spatial, channels)` into `(batch, channels, *spatial)`."""
    return dense(array.movedim(-1, 1))


def operation(spec):
    """Return the function, and for each argument what converts it from jaxnets."""
    n = len(spec["spatial"])
    function = getattr(F, f"{spec['function']}{n}d")
    window, strides = spec["window"], spec["strides"]
    if "features" not in spec:
        return lambda x: function(x, window, strides), [from_channels_last]
    if spec["function"] == "conv_transpose":
        pad = (window - strides) // 2
        # (*window, in, out) becomes (in, out, *window).
        layout = lambda kernel: dense(kernel.movedim((-2, -1), (0, 1)))
        call = lambda x, kernel: function(x, kernel, stride=strides, padding=pad)
        return call, [from_channels_last, layout]
    pad = spec["dilation"] * (window - 1) // 2
    options = {"dilation": spec["dilation"], "groups": spec["groups"]}
    layout = lambda kernel: dense(kernel.movedim((-1, -2), (0, 1)))
    call = lambda x, kernel: function(x, kernel, None, strides, pad, **options)
    return call, [from_channels_last, layout]


def shapes(spec):
    """Return the shapes of the arguments in the layouts of jaxnets."""
    x = (spec["batch"], *spec["spatial"], spec["channels"])
    if "features" not in spec:
        return [x]
    channels = spec["channels"] // spec["groups"]
    window = (spec["window"],) * len(spec["spatial"])
    return [x, (*window, channels, spec["features"])]


def prepared_operation(spec, direction, arrays):
    """Return a function without arguments that computes the operation once."""
    call, layouts = operation(spec)
    options = {"dtype": getattr(torch, spec["dtype"]), "device": DEVICE}
    if arrays is None:
        given = [torch.randn(shape, **options) for shape in shapes(spec)]
    else:
        given = [torch.tensor(array, **options) for array in arrays[: len(layouts)]]
    given = [layout(a) for layout, a in zip(layouts, given, strict=True)]
    if direction == "forward":

        def forward():
            with torch.no_grad():
                return (call(*given),)

        return forward
    given = [array.requires_grad_() for array in given]
    if arrays is None:
        cotangent = torch.randn_like(call(*given))
    else:
        cotangent = from_channels_last(torch.tensor(arrays[-1], **options))

    def with_gradients():
        y = call(*given)
        return (y, *torch.autograd.grad(y, given, cotangent))

    return with_gradients


class Block(torch.nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, channels, features, stride):
        super().__init__()
        options = {"padding": 1, "bias": False}
        self.first = torch.nn.Conv2d(channels, features, 3, stride, **options)
        self.first_norm = torch.nn.BatchNorm2d(features)
        self.second = torch.nn.Conv2d(features, features, 3, **options)
        self.second_norm = torch.nn.BatchNorm2d(features)
        self.stride, self.padded = stride, features - channels

    def forward(self, x):
        """Map `(batch, channels, height, width)` to `features`."""
        y = F.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.padded:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.padded))
        return F.relu(y + shortcut)


class ResNet(torch.nn.Module):
    """He et al.'s residual network for small images."""

    def __init__(self, depth, channels, classes, widths=(16, 32, 64)):
        super().__init__()
        self.stem = torch.nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.stem_norm = torch.nn.BatchNorm2d(widths[0])
        blocks, channels = [], widths[0]
        for width in widths:
            for number in range((depth - 2) // 6):
                halves = number == 0 and width != widths[0]
                blocks.append(Block(channels, width, 2 if halves else 1))
                channels = width
        self.blocks = torch.nn.Sequential(*blocks)
        self.output = torch.nn.Linear(channels, classes)

    def forward(self, x):
        """Return the logits of `x`."""
        x = self.blocks(F.relu(self.stem_norm(self.stem(x))))
        return self.output(x.mean((2, 3)))


def network(spec):
    """Return the network of a training step, and a batch for it."""
    dtype, classes = getattr(torch, spec["dtype"]), spec["classes"]
    if spec["function"] == "many_to_one":
        model = ManyToOne(spec["in_features"], spec["hidden"], classes)
        x = torch.randn(spec["batch"], spec["time"], spec["in_features"])
        return model.to(DEVICE, dtype), x.to(DEVICE, dtype)
    model = ResNet(spec["depth"], spec["channels"], classes)
    model = model.to(DEVICE, dtype, memory_format=torch.channels_last)
    return model, from_channels_last(torch.randn(*shapes(spec)).to(DEVICE, dtype))


def prepared_step(spec):
    """Return a function without arguments that trains for one step, and the model."""
    model, x = network(spec)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    labels = torch.randint(spec["classes"], (spec["batch"],)).to(DEVICE)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return (loss,)

    return step, model


def seconds(work, calls, before):
    """Return the mean seconds of a call, after other calls that are not timed."""
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    gc.collect()
    gc.disable()
    for _ in range(before):
        work()
    wait()
    started = time.perf_counter()
    for _ in range(calls):
        work()
    wait()
    taken = time.perf_counter() - started
    gc.enable()
    return taken / calls


class Peer:
    """Answers the requests; each method is one of them."""

    def prepare(self, spec, direction, arrays=None):
        """Prepare the computation of a row."""
        if "classes" in spec:
            self.work, model = prepared_step(spec)
            # PyTorch's LSTM has two biases, and ours has one.
            sizes = {name: p.numel() for name, p in model.named_parameters()}
            counted = [n for name, n in sizes.items() if "bias_hh" not in name]
            return {"parameters": sum(counted)}
        if spec["function"] in CLASSES:
            self.work = prepared_recurrence(spec, direction, arrays, DEVICE)
        else:
            self.work = prepared_operation(spec, direction, arrays)
        return {"parameters": None}

    def time(self, calls, before):
        """Time `calls` calls, after `before` calls that are not timed."""
        return {"seconds": seconds(self.work, calls, before)}

    def outputs(self):
        """Return the results of the computation, in the layouts of PyTorch."""
        return {"outputs": [array.float().tolist() for array in self.work()]}


def main():
    """Answer requests until the input ends."""
    torch.set_num_threads(int(THREADS))
    torch.backends.cudnn.benchmark = True
    answer = {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    if DEVICE == "cuda":
        answer["torch_device"] = torch.cuda.get_device_name()
    print(json.dumps(answer), flush=True)
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(peer, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
