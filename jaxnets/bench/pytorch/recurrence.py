"""Recurrences: `torch.nn.RNN`, `GRU` and `LSTM`. The script `peer.py` imports it."""
# pyright: reportMissingImports=false

import torch


CLASSES = {
    "rnn": torch.nn.RNN,
    "gru": torch.nn.GRU,
    "lstm": torch.nn.LSTM,
    "bidirectional_lstm": torch.nn.LSTM,
}


class ManyToOne(torch.nn.Module):
    """An LSTM and a linear layer on its last state."""

    def __init__(self, features, hidden, classes):
        super().__init__()
        self.recurrent = torch.nn.LSTM(features, hidden, batch_first=True)
        self.output = torch.nn.Linear(hidden, classes)

    def forward(self, x):
        """Return the logits of sequences `(batch, time, features)`."""
        _, (h, _) = self.recurrent(x)
        return self.output(h[-1])


def prepared_recurrence(spec, direction, arrays, device):
    """Return a function without arguments that computes the recurrence once.

    `arrays` are x, the weights in the order of jaxnets, and the cotangent. With None
    all are drawn at random.
    """
    options = {"dtype": getattr(torch, spec["dtype"]), "device": device}
    model = CLASSES[spec["function"]](
        spec["in_features"],
        spec["hidden"],
        num_layers=spec.get("depth", 1),
        bidirectional=spec["function"].startswith("bidirectional"),
        batch_first=True,
        **options,
    )
    if arrays is None:
        x = torch.randn(spec["batch"], spec["time"], spec["in_features"], **options)
        with torch.no_grad():
            cotangent = torch.randn_like(model(x)[0])
    else:
        x, *weights, cotangent = (torch.tensor(a, **options) for a in arrays)
        set_weights(model, weights)
    if direction == "forward":

        def forward():
            with torch.no_grad():
                return (model(x)[0],)

        return forward
    given = [x.requires_grad_(), *model.parameters()]

    def with_gradients():
        y = model(x)[0]
        return (y, *torch.autograd.grad(y, given, cotangent))

    return with_gradients


@torch.no_grad()
def set_weights(model, weights):
    """Copy the weights of jaxnets into the model.

    They are w_xh, w_hh, b and, of a GRU, b_hn, for each layer and direction.
    """
    weights = iter(weights)
    for w_ih, w_hh, b_ih, b_hh in model.all_weights:
        w_ih.copy_(next(weights).T)
        w_hh.copy_(next(weights).T)
        b_ih.copy_(next(weights))
        b_hh.zero_()
        if isinstance(model, torch.nn.GRU):
            b_hh[-model.hidden_size :] = next(weights)
