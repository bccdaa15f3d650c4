"""Entry point of the command. It settles what a signal does before it imports anything else: TensorFlow alone takes seconds."""

from __future__ import annotations

from pipeline import allocator, stopping


def begin() -> None:
    """Makes a process the command's: what signals do, how memory is kept, and where output goes."""
    stopping.begin()
    allocator.begin()
    import atexit

    from pipeline.command import streams

    atexit.register(stopping.ignore)  # registered first, so done last: from then on the exit code stands
    streams.begin()


def main() -> None:
    """Runs the `seqcols` command."""
    begin()
    from pipeline.command.commands import cli

    cli()


if __name__ == "__main__":
    main()
