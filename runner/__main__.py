"""``python -m runner`` is ``seatrial``."""

from runner.cli import main

if __name__ == "__main__":
    main()
