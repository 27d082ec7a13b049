"""Where results go: standard output or files in a directory, each whole or not there at all."""
