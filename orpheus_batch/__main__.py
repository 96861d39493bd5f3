"""`python -m orpheus_batch` is `orpheus-batch`."""

from orpheus_batch.cli import main

if __name__ == "__main__":
    main()
