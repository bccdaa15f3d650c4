"""Entry point of the command, `seqcols` or `python -m seqcols`: whether its packages are its own was asked by `seqcols`."""

from __future__ import annotations


def main() -> None:
    """Runs the `seqcols` command."""
    from pipeline.command import cli

    cli.main()


if __name__ == "__main__":
    main()
