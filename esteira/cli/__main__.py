"""`python -m esteira.cli` is `esteira`."""

from esteira.cli import main

if __name__ == "__main__":
    main()
