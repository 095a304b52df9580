"""`python -m pgq` is the command `pgq`."""

from pgq.cli import main

main(prog_name="pgq")
