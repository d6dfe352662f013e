"""A made-up `summary.json`: verdicts, arms, machine and notes."""


def verdict(
    kind, study, where, number, sentence, remedy="", threshold=-0.1, **background
):
    return {
        "kind": kind,
        "study": study,
        "where": where,
        "number": number,
        "low": number - 0.03,
        "high": number + 0.03,
        "threshold": threshold,
        "sentence": sentence,
        "remedy": remedy,
        **background,
    }


SHORTCUTS = "Add shortcut connections, or normalise after each convolution."
VERDICTS = [
    verdict(
        "vanishing",
        "depth",
        "plain, depth 20",
        -0.12,
        "On its way back the gradient loses a quarter with every layer, so the first "
        "layer gets 0.5 % of what the last one gets.",
        SHORTCUTS,
        reason="A tenth is the step of the usual grids of learning rates.",
        other_cause="Layers of unequal size change the norm too.",
    ),
    verdict(
        "vanishing",
        "depth",
        "plain, depth 32",
        -0.121,
        "The first layer gets a five-thousandth of the gradient of the last one.",
        SHORTCUTS,
    ),
    verdict(
        "contrast",
        "depth",
        "plain against residual, depth 32",
        4.3,
        "With shortcut connections the gradient at the first layer is 20,000 times as "
        "large as without.",
    ),
    verdict(
        "healthy",
        "depth",
        "plain + BatchNorm, depth 32",
        0.05,
        "With batch normalisation the plain network keeps its gradient, as He et al. "
        "report.",
    ),
    verdict(
        "vanishing",
        "time",
        "RNN, length 100",
        -0.14,
        "Each step back in time costs the recurrent network 28 % of its gradient.",
        "Use an LSTM or a GRU, and start the forget bias at 1 or above.",
    ),
    verdict(
        "saturated",
        "saturation",
        "tanh, gain 4",
        0.24,
        "A quarter of all units stand on the flat part of tanh.",
        "Lower the gain to 5/3 or less.",
    ),
    verdict(
        "overfitting",
        "overfitting",
        "no dropout",
        0.6,
        "The loss on validation examples ends 0.6 nats above that on training "
        "examples.",
        "Turn dropout on, or stop at update 80.",
    ),
]
SUMMARY = {
    "verdicts": VERDICTS,
    "arms": [
        {
            "study": "depth",
            "arm": "plain-8",
            "family": "plain",
            "size": 8,
            "status": "finished",
            "message": "",
            "seconds": 3.21,
            "compile_seconds": 1.07,
            "parameters": 45000,
        },
        {
            "study": "depth",
            "arm": "plain-56",
            "family": "plain",
            "size": 56,
            "status": "stopped",
            "message": "the time limit of 120 s was reached",
        },
        {"study": "time", "arm": "lstm-100", "status": "pending"},
    ],
    "environment": {
        "jaxnets": "0.1.0",
        "jax": "0.12.0",
        "flax": "0.12.4",
        "python": "3.12.3",
        "platform": "Linux-6.1-x86_64",
        "device": "cpu",
        "devices": 1,
        "cpus": 2,
    },
    "command": "jaxnets contrast --seeds 3",
    "started": "2026-11-23T05:00:00+00:00",
    "seconds": 118.0,
    "initialisers": {
        "depth": "All weights start from He's normal initialiser.",
        "time": "Recurrent weights are orthogonal; the forget bias starts at 1.",
    },
    "notes": {"depth": ["Without normalisation, depth 56 was left out."]},
}
