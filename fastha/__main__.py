"""`python -m fastha` is `fastha`."""

from fastha.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
