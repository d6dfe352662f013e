"""`python -m jaxnets` is the `jaxnets` command."""

from jaxnets.cli import main


if __name__ == "__main__":
    raise SystemExit(main())
