"""`python -m sewcli` is the command `sew`."""

from sewcli.cli.app import command

if __name__ == "__main__":
    command()
