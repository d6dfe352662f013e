"""Remedies that are applied to a copy of the model, and measured."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from jaxnets.gradflow.diagnosis.models.again import (
    chains_of,
    layers_of,
    number_again,
)
from jaxnets.gradflow.diagnosis.models.chains import role
from jaxnets.gradflow.diagnosis.models.depth import RECTIFYING, module_at
from jaxnets.gradflow.diagnosis.models.series import activation_of, without_number
from jaxnets.gradflow.diagnosis.table import listed
from jaxnets.gradflow.diagnosis.verdict import Verdict, select
from jaxnets.gradflow.evidence.collector import Collector
from jaxnets.gradflow.evidence.remedies.changes import (
    open_gates,
    orthogonal_states,
    redrawn,
)
from jaxnets.gradflow.evidence.structure import layer_patterns
from jaxnets.gradflow.program.rewiring import rewired
from jaxnets.runs.formatting import format_number
from jaxnets.runs.records import Record


# The variances, times the number of inputs, that are tried below that of LeCun.
LOWER_GAINS = (0.1, 0.01, 0.001, 0.0001)
# How many remedies that need another program are measured: each is compiled.
MOST_PROGRAMS = 2


class Trial(NamedTuple):
    """A remedy that can be applied without the source of the model.

    Attributes:
        words: What it is, in words that follow "With".
        pattern: A pattern of the alternatives, among those of a verdict, that it is.
        records: Returns the records with it; None if it cannot be applied.
    """

    words: str
    pattern: str
    records: Callable[[], list[Record] | None]


class Trials:
    """The remedies for the verdicts on one network.

    The first network and the first batch are measured again. New initial values need
    no new program. Another program is compiled at most twice, and only for a verdict
    of the severity `fault` or on an attention.

    Args:
        collector: What measured the network.
        model: The first network.
        records: The records of all networks.
    """

    def __init__(self, collector: Collector, model: Any, records: list[Record]):
        self.collector = collector
        self.model = model
        self._found: dict[Any, list[Record] | None] = {}
        self._programs = 0
        self.records = records

    def of(self, verdict: Verdict) -> Iterator[Trial]:
        """Yield the remedies for a verdict before training, the usual one first."""
        metric = verdict.quantity[0]
        if metric == "gradient_rate_in_time":
            yield from self._in_time(verdict)
        elif metric.startswith(("gradient_", "product_")):
            taps = layers_of(verdict.quantity, self.records)
            layers = list(dict.fromkeys(map(module_at, taps)))
            yield from self._along_depth(verdict, layers)
        elif metric in ("effective_rank", "distinct_share"):
            yield from self._along_depth(verdict, self._all_layers())
        else:
            tap = verdict.quantity[1].partition("#")[0]
            module, _, kind = tap.rpartition("/")
            pair = self._queries_and_keys().get(tap)
            layers = list(pair or [module])
            if pair:
                yield self._queries_and_keys_normalised()
            yield self._initialiser(layers, kind)
            if metric in ("flat_share", "attention_entropy"):
                yield from self._lower_gain(verdict, layers)

    def _all_layers(self) -> list[str]:
        taps = next(iter(chains_of(self.records)), [])
        return list(dict.fromkeys(map(module_at, taps)))

    def _along_depth(self, verdict: Verdict, layers: list[str]) -> Iterator[Trial]:
        shared = verdict.quantity[0].endswith("_rate") or not verdict.quantity[
            0
        ].startswith(("gradient_", "product_"))
        # Between two layers the weights of the later one decide.
        yield self._initialiser(layers if shared else layers[1:])
        if verdict.severity != "fault" or not shared:
            return
        kind = activation_of(self.records, layers)
        if verdict.kind == "vanishing" and kind in ("sigmoid", "tanh"):
            yield self._rectified(layers, kind)
        yield from self._shortcuts(layers)

    def _initialiser(self, layers: Sequence[str], kind: str = "") -> Trial:
        kind = kind or activation_of(self.records, layers)
        name, gain = ("He's", 2.0) if kind in RECTIFYING else ("LeCun's", 1.0)
        layers = list(dict.fromkeys(map(without_number, layers)))
        where = "" if len(layers) > 1 else f" of {listed(layers)}"
        return self._drawn(f"{name} initialisation{where}", layers, gain)

    def _drawn(self, name: str, layers: Sequence[str], gain: float) -> Trial:
        words = f"{name} (normal, variance {gain:g}/fan_in, biases at zero)"
        model = lambda: redrawn(self.model, layers, gain, self._stacked())
        key = ("initialiser", gain, *layers)
        return Trial(words, "initialiser|gain", lambda: self._again(key, model))

    def _queries_and_keys_normalised(self) -> Trial:
        pairs = self._queries_and_keys().values()
        taps = list(dict.fromkeys(itertools.chain(*pairs)))
        return Trial(
            "query-key norm (each query and key over its root mean square)",
            "query-key norm",
            lambda: self._again(
                ("normalised", *taps),
                lambda: None,
                lambda f: rewired(f, normalised=taps),
            ),
        )

    def _queries_and_keys(self) -> dict[str, tuple[str, ...]]:
        """Return the taps of queries and keys by the tap of their softmax."""
        sources = self.collector.structure.sources.items()
        return {
            tap: taps
            for tap, taps in sources
            if tap.endswith("softmax") and len(taps) == 2
        }

    def _lower_gain(self, verdict: Verdict, layers: list[str]) -> Iterator[Trial]:
        """Yield the highest of some gains with which an activation is not saturated.

        A lower gain of the queries and keys of an attention divides its logits.
        """
        sign = 1 if verdict.quantity[0] == "flat_share" else -1
        for gain in LOWER_GAINS:
            trial = self._drawn(f"a lower gain of {listed(layers)}", layers, gain)
            records = trial.records() or []
            number = number_again(verdict.quantity, self.records, records)
            if number is not None and sign * number < sign * verdict.threshold:
                yield trial
                return

    def _rectified(self, layers: list[str], kind: str) -> Trial:
        layers = list(dict.fromkeys(map(without_number, layers)))

        def model() -> Any:
            return redrawn(self.model, layers, 2.0, self._stacked())

        return Trial(
            f"ReLU in place of {kind}, and He's initialisation",
            "ReLU instead",
            lambda: self._again(
                ("relu", *layers), model, lambda f: rewired(f, relu_after=layers)
            ),
        )

    def _shortcuts(self, layers: list[str]) -> Iterator[Trial]:
        groups: dict[str, list[str]] = {}
        for layer in layers:
            groups.setdefault(role(layer), []).append(layer)
        around = [group for group in groups.values() if len(group) > 2]
        if not around:
            return
        kind = activation_of(self.records, layers)
        gain = 2.0 if kind in RECTIFYING else 1.0
        scale = 1.0 / max(map(len, around)) ** 0.5
        words = (
            f"a shortcut around each of the {max(map(len, around))} layers, x + s f(x) "
            f"with s = {format_number(scale)}, one over the root of their number, "
        )
        model = lambda: redrawn(self.model, layers, gain, self._stacked())
        change = lambda f: rewired(f, shortcuts=around, scale=scale)
        yield Trial(
            f"{words}and {'He' if gain == 2 else 'LeCun'}'s initialisation",
            "shortcut",
            lambda: self._again(("shortcut", *layers), model, change),
        )

    def _in_time(self, verdict: Verdict) -> Iterator[Trial]:
        _, tap = verdict.quantity
        metric = "log10_gradient_norm"
        steps = {r.position for r in select(self.records, metric=metric, place=tap)}
        bias = len(steps) and format_number(math.log(len(steps)))
        gates = lambda: open_gates(self.model, tap, float(bias))
        if verdict.kind == "vanishing" and gates() is not None:
            yield Trial(
                f"a bias of {bias}, the logarithm of the {len(steps)} steps, of the "
                "gate that keeps the state (LSTM f, GRU z)",
                "bias of about",
                lambda: self._again(("gates", tap), gates),
            )
            return
        yield Trial(
            "orthogonal recurrent weights",
            "orthogonal|gain of the recurrent",
            lambda: self._again(
                ("orthogonal", tap), lambda: orthogonal_states(self.model, tap)
            ),
        )

    def _stacked(self) -> list[str]:
        return layer_patterns(self.collector.structure)

    def _again(
        self,
        key: Any,
        make: Callable[[], Any],
        change: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
    ) -> list[Record] | None:
        """Return the records of a changed model, once for each remedy."""
        return self.once(key, lambda: self._measured(make(), change))

    def once(
        self, key: Any, measure: Callable[[], list[Record] | None]
    ) -> list[Record] | None:
        """Return the records that `measure` finds, which is called once for a key."""
        if key not in self._found:
            self._found[key] = measure()
        return self._found[key]

    def _measured(self, model: Any, change: Any) -> list[Record] | None:
        if model is None and change is None:
            return None
        model = self.model if model is None else model
        collector = self.collector
        if change is not None:
            if self._programs == MOST_PROGRAMS:
                return None
            self._programs += 1
            loss, name = change(collector.loss), collector.name
            collector = Collector(loss, model, collector.arguments[:1], name=name)
            if not loss.made:
                return None
        return collector.before(model)
