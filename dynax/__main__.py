"""The `dynax` command, also as `python -m dynax`."""

import sys


EXTRA = {"tyro", "rich", "matplotlib", "xarray"}


def main() -> int:
    """Run the command line; without the extra `cli`, say what to install."""
    try:
        from dynax.cli import main as command
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        print(
            f"dynax: the command needs {error.name}, which is not installed; "
            'run: pip install "dynax-lab[cli]"',
            file=sys.stderr,
        )
        return 2
    return command()


if __name__ == "__main__":
    sys.exit(main())
