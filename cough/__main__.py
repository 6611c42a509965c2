"""``python -m cough``: the same as the command ``cough``."""

from cough.cli import main

if __name__ == "__main__":
    main()
