"""`python -m sewcli` is the command `sew`."""

from sewcli.cli.app import main

if __name__ == "__main__":
    main()
