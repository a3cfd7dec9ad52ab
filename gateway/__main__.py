"""`python -m gateway`: the operator's commands."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()
