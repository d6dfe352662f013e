"""The command line and the record of both scripts; it needs the standard library only.

`torch_twins.py` runs where neither JAX nor jaxnets is installed, and imports this file
from beside it.
"""

import argparse
import json
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Given(NamedTuple):
    """What the command line asks for.

    Attributes:
        names: Parts of the names of the networks to run; none means all.
        json: Where to write the record, if anywhere.
    """

    names: list[str]
    json: Path | None

    def has(self, name: str) -> bool:
        """Return whether to run the network of a name."""
        return not self.names or any(part in name for part in self.names)

    def write(
        self,
        command: str,
        environment: dict[str, Any],
        networks: Iterable[dict[str, Any]],
    ) -> None:
        """Write the record: a line for each network, so that changes can be seen."""
        if self.json is None:
            return
        record = {
            "command": shlex.join([*command.split(), *self.names]),
            "date": time.strftime("%Y-%m-%d"),
            "environment": environment,
        }
        lines = ",\n".join(map(json.dumps, networks))
        text = f'{json.dumps(record)[:-1]}, "networks": [\n{lines}\n]}}\n'
        self.json.write_text(text, encoding="utf-8")


def given(description: str | None) -> Given:
    """Parse the command line."""
    first = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=first)
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a record")
    return Given(**vars(parser.parse_args()))
