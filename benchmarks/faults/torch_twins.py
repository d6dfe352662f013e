"""What torchmortem says about PyTorch twins of some networks of the suite.

    $JAXNETS_TORCH_PYTHON benchmarks/faults/torch_twins.py [NAME...] [--json FILE]

It needs PyTorch and torchmortem, and neither JAX nor jaxnets. Each network is trained
for 100 steps on one batch, by Adam at 0.001 unless the learning rate is the fault, with
torchmortem's preset "thorough". A fault counts as found if a finding of at least the
severity WARNING names it or what it does, and its place as found if the finding has
the layer among those that it affects.
"""

import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

# Beside this file, which is run as a script.
from record import given  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torchmortem import Autopsy  # pyright: ignore[reportMissingImports]


STEPS = 100
draw = np.random.default_rng(7).normal
CENTRES = 2 * draw(size=(8, 16))
LABELS = np.arange(48) % 8


def _tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float32)


CLASSES = torch.tensor(LABELS)
POINTS = _tensor(CENTRES[LABELS] + draw(size=(48, 16)))
IMAGES = draw(size=(32, 3, 8, 8))
IMAGES[np.arange(32), :, LABELS[:32]] += 2
IMAGES = _tensor(IMAGES)
SERIES = _tensor(CENTRES[LABELS[:24], None, :6] / 2 + draw(size=(24, 20, 6)))
LONG = _tensor(draw(size=(16, 60, 6)))


class Twin(NamedTuple):
    """A network, and what a diagnosis of it should say.

    Attributes:
        make: Returns the model.
        batch: Its input.
        wanted: A pattern of the titles of findings that name the fault or what it
            does; empty if the network is healthy.
        place: A pattern of the affected layer; empty if the fault has none.
        loss: The loss of an output and the classes.
        optimizer: Returns the optimiser of some parameters.
    """

    make: Callable[[], Any]
    batch: Any
    wanted: str = ""
    place: str = ""
    loss: Callable[[Any, Any], Any] = nn.functional.cross_entropy
    optimizer: Callable[[Any], Any] = lambda p: torch.optim.Adam(p, 1e-3)


def _linear(inputs: int, outputs: int, std: float) -> Any:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std * inputs**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


class Mlp(nn.Module):
    """Linear layers `body`, each with its activation, and a linear `head`."""

    def __init__(self, depth=4, activation=nn.ReLU, std=2**0.5, stds=None, **options):
        super().__init__()
        stds = stds or {}
        inputs, outputs = options.get("inputs", 16), options.get("outputs", 8)
        self.body = nn.ModuleList(
            _linear(32 if n else inputs, 32, stds.get(n, std)) for n in range(depth)
        )
        self.acts = nn.ModuleList(activation() for _ in range(depth))
        self.head = _linear(32, outputs, 1.0)

    def features(self, x):
        for layer, act in zip(self.body, self.acts, strict=True):
            x = act(layer(x))
        return x

    def forward(self, x):
        return self.head(self.features(x))


def _with_biases(layer: int, share: float) -> Any:
    model = Mlp(4)
    with torch.no_grad():
        model.body[layer].bias[: int(32 * share)] = -30.0
    return model


def _constant() -> Any:
    model = Mlp(3)
    for layer in (*model.body, model.head):
        nn.init.constant_(layer.weight, 0.1)
    return model


class Detached(Mlp):
    """No gradient reaches the body."""

    def forward(self, x):
        return self.head(self.features(x).detach())


class Dropped(nn.Module):
    """The output of `side` is not used."""

    def __init__(self):
        super().__init__()
        self.trunk, self.side = nn.Linear(16, 24), nn.Linear(24, 24)
        self.act, self.head = nn.ReLU(), nn.Linear(24, 8)

    def forward(self, x):
        x = self.act(self.trunk(x))
        self.side(x)
        return self.head(x)


class Recurrent(nn.Module):
    """A recurrent layer whose last output a linear head reads."""

    def __init__(self, cell, gain=None, forget=None):
        super().__init__()
        self.rnn, self.head = cell(6, 24, batch_first=True), nn.Linear(24, 8)
        if gain is not None:
            nn.init.normal_(self.rnn.weight_hh_l0, std=gain * 24**-0.5)
        if forget is not None:
            with torch.no_grad():
                self.rnn.bias_ih_l0[24:48] = forget
                self.rnn.bias_hh_l0[24:48] = 0.0

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class PlainNorm(nn.Module):
    """Fifty layers with batch normalisation and without shortcuts."""

    def __init__(self):
        super().__init__()
        self.inlet = nn.Linear(16, 32)
        self.norms = nn.ModuleList(nn.BatchNorm1d(32) for _ in range(50))
        self.body = nn.ModuleList(_linear(32, 32, 2**0.5) for _ in range(50))
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(50))
        self.head = nn.Linear(32, 8)

    def forward(self, x):
        x = self.inlet(x)
        for norm, layer, act in zip(self.norms, self.body, self.acts, strict=True):
            x = act(norm(layer(x)))
        return self.head(x)


class Residual(nn.Module):
    """Branches with layer norm first."""

    def __init__(self):
        super().__init__()
        self.inlet, self.head = nn.Linear(16, 32), nn.Linear(32, 8)
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(10))
        self.body = nn.ModuleList(
            Mlp(1, nn.GELU, inputs=32, outputs=32) for _ in range(10)
        )
        self.norm = nn.LayerNorm(32)

    def forward(self, x):
        x = self.inlet(x)
        for norm, branch in zip(self.norms, self.body, strict=True):
            x = x + branch(norm(x))
        return self.head(self.norm(x))


class ConvBlock(nn.Module):
    """Two convolutions with batch normalisation and a shortcut."""

    def __init__(self, width):
        super().__init__()
        conv = lambda: nn.Conv2d(width, width, 3, padding=1)
        self.conv1, self.norm1, self.act1 = conv(), nn.BatchNorm2d(width), nn.ReLU()
        self.conv2, self.norm2, self.act2 = conv(), nn.BatchNorm2d(width), nn.ReLU()

    def forward(self, x):
        y = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        return self.act2(x + y)


class Mean(nn.Module):
    """The mean over the pixels."""

    def forward(self, x):
        return x.mean((2, 3))


def _resnet() -> Any:
    blocks = [ConvBlock(12) for _ in range(4)]
    stem = [nn.Conv2d(3, 12, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, Mean(), nn.Linear(12, 8))


def _convolutional() -> Any:
    conv = lambda n, m: [nn.Conv2d(n, m, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    dense = [nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 8)]
    return nn.Sequential(*conv(3, 16), *conv(16, 32), *dense)


def _zero_head() -> Any:
    model = Mlp(4)
    nn.init.zeros_(model.head.weight)
    return model


def _log_of_relu(y: Any, classes: Any) -> Any:
    shares = torch.relu(y)
    shares = shares / shares.sum(-1, keepdim=True)
    return -torch.log(shares[torch.arange(classes.numel()), classes]).mean()


def _sgd(rate: float) -> Callable[[Any], Any]:
    return lambda p: torch.optim.SGD(p, rate)


def _reconstruct(y: Any, classes: Any) -> Any:
    del classes
    return ((y - POINTS) ** 2).mean()


SHRINKS = "Vanishing|stalling|ratio too low"
GROWS = "Exploding|norm explosion|ratio too high"
TWINS = {
    "weights of 0 01": Twin(
        lambda: Mlp(10, std=0.01 * 32**0.5), POINTS, SHRINKS, "body"
    ),
    "gain four times too large": Twin(lambda: Mlp(12, std=6.0), POINTS, GROWS, "body"),
    "deep sigmoid": Twin(lambda: Mlp(10, nn.Sigmoid, 1.0), POINTS, SHRINKS, "body"),
    "chaotic tanh": Twin(
        lambda: Mlp(20, nn.Tanh, 4.0), POINTS, f"{GROWS}|saturation", "body|acts"
    ),
    "one layer of tiny weights": Twin(
        lambda: Mlp(9, stds={4: 1e-4}), POINTS, SHRINKS, r"body\.[45]\b"
    ),
    "forty layers without shortcuts": Twin(
        lambda: Mlp(40, std=1.0), POINTS, SHRINKS, "body"
    ),
    "plain batch norm of fifty layers": Twin(PlainNorm, POINTS, GROWS, "body|norms"),
    "tanh gain of 20 in one layer": Twin(
        lambda: Mlp(5, nn.Tanh, 1.0, {2: 20.0}), POINTS, "saturation", r"acts\.2\b"
    ),
    "four fifths of the units dead": Twin(
        lambda: _with_biases(1, 0.85), POINTS, "Dead", r"(acts|body)\.1\b"
    ),
    "a dead layer": Twin(
        lambda: _with_biases(2, 1.0), POINTS, f"Dead|{SHRINKS}", r"(acts|body)\.2\b"
    ),
    "features behind a stop gradient": Twin(Detached, POINTS, SHRINKS, "body"),
    "an output that is dropped": Twin(Dropped, POINTS, SHRINKS, "side"),
    "constant weights": Twin(_constant, POINTS, "Rank", "body|head|acts"),
    "an rnn of a small gain": Twin(
        lambda: Recurrent(nn.RNN, gain=0.2), LONG, SHRINKS, "rnn"
    ),
    "forget bias of minus 3": Twin(
        lambda: Recurrent(nn.LSTM, forget=-3.0), SERIES, SHRINKS, "rnn"
    ),
    "sgd at 30": Twin(
        Mlp, POINTS, f"{GROWS}|divergence|Catapult", optimizer=_sgd(30.0)
    ),
    "sgd at 1e 7": Twin(
        Mlp, POINTS, "ratio too low|plateau|Stagnant", optimizer=_sgd(1e-7)
    ),
    "a softmax before the softmax of the loss": Twin(
        lambda: nn.Sequential(Mlp(), nn.Softmax(-1)),
        POINTS,
        "plateau|saturation in 1$",
    ),
    "a loss of the wrong sign in training": Twin(
        lambda: Mlp(3),
        POINTS,
        "divergence|Exploding",
        loss=lambda y, c: -nn.functional.cross_entropy(y, c),
        optimizer=_sgd(0.3),
    ),
    "a logarithm of zero": Twin(
        lambda: Mlp(2), POINTS, "divergence", loss=_log_of_relu
    ),
    "relu mlp": Twin(lambda: Mlp(5), POINTS),
    "gelu mlp of flax defaults": Twin(lambda: Mlp(6, nn.GELU, 1.0), POINTS),
    "tanh mlp": Twin(lambda: Mlp(6, nn.Tanh, 1.2), POINTS),
    "a head that starts at zero": Twin(_zero_head, POINTS),
    "residual mlp with layer norm first": Twin(Residual, POINTS),
    "small convolutional network": Twin(_convolutional, IMAGES),
    "residual network": Twin(_resnet, IMAGES),
    "lstm classifier": Twin(lambda: Recurrent(nn.LSTM), SERIES),
    "gru classifier": Twin(lambda: Recurrent(nn.GRU), SERIES),
    "autoencoder": Twin(
        lambda: nn.Sequential(Mlp(2, outputs=4), Mlp(2, inputs=4, outputs=16)),
        POINTS,
        loss=_reconstruct,
    ),
}


def _findings(twin: Twin) -> list[Any]:
    """Train the network, and return the findings of at least WARNING."""
    torch.manual_seed(0)
    model = twin.make()
    optimizer = twin.optimizer(model.parameters())
    classes = CLASSES[: twin.batch.shape[0]]
    with Autopsy(model, optimizer=optimizer, sampling="thorough") as autopsy:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = twin.loss(model(twin.batch), classes)
            loss.backward()
            optimizer.step()
            autopsy.step(loss=loss.item())
    return [f for f in autopsy.get_report().findings if f.severity.name != "INFO"]


def _judged(name: str, twin: Twin) -> dict[str, Any]:
    """Return what is said about a twin, and what of it is right."""
    found = _findings(twin)
    right = [f for f in found if twin.wanted and re.search(twin.wanted, f.title)]
    there = [f for f in right if re.search(twin.place, " ".join(f.affected_layers))]
    return {
        "name": name,
        "is_fault": bool(twin.wanted),
        "found": bool(right),
        "place": bool(twin.place and there),
        "has_place": bool(twin.place),
        "severities": sorted({f.severity.name for f in found}),
        "said": "; ".join(f"{f.severity.name} {f.title}" for f in found),
    }


def main() -> None:
    """Print one line for each network that the command line names."""
    asked = given(__doc__)
    networks = []
    for name in filter(asked.has, TWINS):
        found = _judged(name, TWINS[name])
        mark = "place" if found["place"] else "found" if found["found"] else "missed"
        mark = mark if found["is_fault"] else "healthy"
        print(f"| {name} | {mark} | {found['said']} |", flush=True)
        networks.append(found)
    versions = {name: version(name) for name in ("torch", "torchmortem")}
    asked.write("python benchmarks/faults/torch_twins.py", versions, networks)


if __name__ == "__main__":
    main()
