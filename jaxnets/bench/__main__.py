"""`python -m jaxnets.bench`: the same as `jaxnets bench`, without tyro and rich."""

import argparse
import dataclasses
import sys
import typing
from pathlib import Path

from jaxnets.bench.options import SUITES, Options, help_texts


def main() -> int:
    """Run the command line and return its exit code, 2 for a mistake in it."""
    parser = argparse.ArgumentParser("python -m jaxnets.bench")
    texts, hints = help_texts(), typing.get_type_hints(Options)
    parser.add_argument("suite", nargs="?", default="ops", choices=SUITES)
    for field in dataclasses.fields(Options)[1:]:
        flag = f"--{field.name.replace('_', '-')}"
        kinds = typing.get_args(hints[field.name]) or (hints[field.name],)
        if kinds[0] is bool:
            parser.add_argument(flag, action="store_true", help=texts[field.name])
            continue
        kind = next((kind for kind in (int, Path) if kind in kinds), str)
        parser.add_argument(
            flag, type=kind, default=field.default, help=texts[field.name]
        )
    try:
        options = Options(**vars(parser.parse_args()))
        from jaxnets.bench.runs import run

        run(options)
    except ValueError as error:
        print(f"jaxnets: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
