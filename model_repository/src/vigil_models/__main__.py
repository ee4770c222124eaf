"""`vigil-models`, and `python -m vigil_models`."""

from vigil_models.cli import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
