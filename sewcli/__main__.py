"""The command `sew`, which `python -m sewcli` is too."""

import sys

from sewcli.errors import EXIT_INTERRUPTED


def main() -> None:
    """Run the command; Control-C is told in one line from the first import on."""
    try:
        from sewcli.cli.app import command

        command()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("sew: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
