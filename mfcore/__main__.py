"""`python -m mfcore` is the command `mfcore`."""

from mfcore.cli import main

if __name__ == "__main__":
    main()
