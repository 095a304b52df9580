"""`python -m pgq_worker` is `pgq worker`."""

from pgq.cli import main

if __name__ == "__main__":
    import sys

    main(["worker", *sys.argv[1:]], prog_name="pgq")
