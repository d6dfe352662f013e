"""What to measure on a device, and for how long. It does not import JAX."""

import dataclasses
import fnmatch
from collections.abc import Sequence


# The groups in the order of importance, and the share of the time that each may take.
# What a group does not need goes to the groups after it.
SHARES = {
    "checks": 0.10,
    "recurrent": 0.40,
    "loop_options": 0.08,
    "ops": 0.18,
    "training": 0.05,
    "gradflow": 0.07,
    "contrast": 0.12,
}
# The contrast is left out if fewer seconds are left.
LEAST_CONTRAST = 60.0


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """What to measure, and for how long.

    Attributes:
        minutes: How long it may take in all.
        groups: Which groups of `SHARES` are measured, in this order.
        peers: The peers that are timed beside ours.
        sizes: "full", or "tiny" to try everything at sizes that take hardly any time.
        rows: How many rows of each group are measured at most; None is all.
        only: Measure only the rows whose key contains one of these texts, which may
            have shell wildcards; an empty sequence is all rows.
        without: Contenders that are left out, such as "in_place".
        rounds: How often each contender is sampled.
        sample_seconds: The least duration of a sample.
        compile_seconds: A program that takes longer to compile is left out.
        silent_seconds: A worker that sends no message for longer is replaced.

    Raises:
        ValueError: If an option has a wrong value.

    Example:
        >>> round(sum(DeviceOptions().shares.values()), 6)
        1.0
    """

    minutes: float = 10.0
    groups: Sequence[str] = tuple(SHARES)
    peers: Sequence[str] = ("flax", "torch")
    sizes: str = "full"
    rows: int | None = None
    only: Sequence[str] = ()
    without: Sequence[str] = ()
    rounds: int = 5
    sample_seconds: float = 0.02
    compile_seconds: float = 60.0
    silent_seconds: float = 90.0

    def __post_init__(self):
        choices = {
            "groups": (self.groups, tuple(SHARES)),
            "peers": (self.peers, ("flax", "torch")),
            "sizes": ((self.sizes,), ("full", "tiny")),
        }
        for name, (found, known) in choices.items():
            for each in found:
                if each not in known:
                    raise ValueError(
                        f"--{name} has {each!r}; wanted some of {', '.join(known)}."
                    )
        if not self.minutes > 0:
            raise ValueError(f"--minutes is {self.minutes}; wanted more than 0.")

    def wants(self, key: str) -> bool:
        """Return whether the row of this key is measured.

        Example:
            >>> DeviceOptions(only=("lstm*bfloat16",)).wants("recurrent: lstm 2x5x4-6")
            False
        """
        found = (fnmatch.fnmatchcase(key, f"*{text}*") for text in self.only)
        return not self.only or any(found)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the time that each of the groups may take, in their order."""
        total = sum(SHARES[group] for group in self.groups)
        return {group: SHARES[group] / total for group in self.groups}
