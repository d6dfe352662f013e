"""What a run was asked for: the contents of its `config.json`."""

import operator
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jaxnets.runs.catalogue import DATASETS, SCALES, STUDIES


# JAX takes seeds as integers of 32 bits.
SEEDS_END = 2**31


@dataclass(frozen=True)
class ContrastConfig:
    """What a run was asked for.

    Attributes:
        studies: Names of the studies, in order.
        scale: `smoke`, `laptop`, `hour` or `accelerator`.
        seeds: Seeds of the networks of every arm.
        dataset: Name of the data set for the studies that need images.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a name is unknown; if there are no studies or no seeds, or one
            of them twice; or if a seed is not from 0 to 2^31 - 1.

    Example:
        >>> from jaxnets.studies import ContrastConfig
        >>> config = ContrastConfig(("depth",), "laptop", (0, 1, 2), "digits")
        >>> len(config.seeds)
        3
    """

    studies: tuple[str, ...]
    scale: str
    seeds: tuple[int, ...]
    dataset: str

    def __post_init__(self) -> None:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in _canonical(values).items():
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, values: dict[str, Any]) -> "ContrastConfig":
        """Return the configuration that `config.json` holds.

        Raises:
            TypeError: If a value has the wrong type.
            ValueError: If a field is missing or unknown, or has a wrong value.
        """
        names = [field.name for field in fields(cls)]
        for name in names:
            if name not in values:
                raise ValueError(f"`{name}` is missing; wanted {', '.join(names)}.")
        for name in values:
            if name not in names:
                raise ValueError(
                    f"`{name}` is not known; wanted {', '.join(names)}. Was the run "
                    "made by another version of jaxnets?"
                )
        # JSON has lists where the annotations, which tests enforce, want tuples.
        return cls(**_canonical(values))

    def differences(self, other: "ContrastConfig") -> str:
        """Return how this differs from another; empty if it does not.

        Example:
            >>> run = ContrastConfig(("time",), "smoke", (0, 1), "digits")
            >>> run.differences(ContrastConfig(("time",), "smoke", (0,), "digits"))
            '`seeds` is (0, 1) and not (0,)'
        """
        return differences(asdict(self), asdict(other))


def command_of(config: Mapping[str, Any]) -> str:
    """Return the command whose run has this `config.json`; empty if it is none's.

    Example:
        >>> command_of({"task": "adding"}), command_of({"studies": [], "seeds": []})
        ('train', 'check')
    """
    if "task" in config:
        return "train"
    if "studies" not in config:
        return ""
    return "check" if set(config) == {"studies", "seeds"} else "contrast"


def other_command(config: Mapping[str, Any], wanted: str, folder: Path) -> str:
    """Return what is wrong with a run of another command than `wanted`, or nothing."""
    found = command_of(config)
    if found in ("", wanted):
        return ""
    instead = f"wanted the folder that `jaxnets {wanted}` printed"
    if found == "check":
        return (
            f"{folder} is the page of `jaxnets check`, which cannot be resumed; "
            f"{instead}."
        )
    resumed = f"jaxnets {found} --resume {shlex.quote(str(folder))}"
    return (
        f"{folder} is a run of `jaxnets {found}`; {instead}. It is resumed with "
        f"`{resumed}`."
    )


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return where two configurations differ; empty if nowhere.

    Example:
        >>> differences({"seed": 1, "steps": 5}, {"seed": 0, "steps": 5})
        '`seed` is 1 and not 0'
    """
    return ", ".join(
        f"`{name}` is {found.get(name)!r} and not {wanted.get(name)!r}"
        for name in {**found, **wanted}
        if found.get(name) != wanted.get(name)
    )


def _canonical(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of all fields after checking them, with lists as tuples."""
    studies = _several("studies", values["studies"], "names", "('depth', 'time')")
    for name in studies:
        _check_name("studies", name, tuple(STUDIES))
    _check_name("scale", values["scale"], SCALES)
    _check_name("dataset", values["dataset"], DATASETS)
    seeds = _several("seeds", values["seeds"], "whole numbers", "(0, 1, 2)")
    found = {**values, "studies": studies, "seeds": tuple(map(_seed, seeds))}
    for name in ("studies", "seeds"):
        if len(set(found[name])) < len(found[name]):
            raise ValueError(f"`{name}` is {found[name]}; wanted each of them once.")
    return found


def _several(name: str, values: Any, kind: str, example: str) -> tuple[Any, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise TypeError(
            f"`{name}` is {values!r}; wanted a list of {kind}, such as {example}."
        )
    if not values:
        raise ValueError(
            f"`{name}` is empty; wanted at least one of the {kind}, such as {example}."
        )
    return tuple(values)


def _check_name(name: str, value: Any, known: tuple[str, ...]) -> None:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` has {value!r}; wanted one of {', '.join(known)}.")
    if value not in known:
        raise ValueError(f"`{name}` has {value!r}; wanted one of {', '.join(known)}.")


def _seed(seed: Any) -> int:
    try:
        found = None if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        found = None
    if found is None:
        raise TypeError(f"`seeds` has {seed!r}; wanted whole numbers, such as 0.")
    if not 0 <= found < SEEDS_END:
        raise ValueError(f"`seeds` has {found}; wanted numbers from 0 to 2^31 - 1.")
    return found
