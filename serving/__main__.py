"""`python -m serving` is `desirepath serve` without the verbs that need the training libraries."""

from serving.cli import main

if __name__ == "__main__":
    main()
