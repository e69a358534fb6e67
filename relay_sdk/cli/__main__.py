"""Entry point of `python -m relay_sdk.cli`."""

from relay_sdk.cli import main

if __name__ == "__main__":
    main()
