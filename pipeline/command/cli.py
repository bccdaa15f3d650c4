"""Entry point of the command. It settles what a signal does before it imports anything else: TensorFlow alone takes seconds."""

from __future__ import annotations

from pipeline import stopping


def begin() -> None:
    """Makes a process the command's: what signals do, how memory is kept, and where output goes."""
    stopping.begin()
    import atexit

    from pipeline import allocator
    from pipeline.command import streams

    allocator.begin()
    atexit.register(stopping.ignore)  # registered first, so done last: from then on the exit code stands
    streams.begin()


def main() -> None:
    """Runs the `seqcols` command."""
    begin()
    from pipeline.command.commands import cli

    cli()


if __name__ == "__main__":
    main()
