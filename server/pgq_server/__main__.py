"""`python -m pgq_server` is `pgq server`."""

from pgq.cli import main

if __name__ == "__main__":
    import sys

    main(["server", *sys.argv[1:]])
