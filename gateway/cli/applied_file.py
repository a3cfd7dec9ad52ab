"""An operator's file that states what there is to be: read whole, and told entry by entry what became of it."""

from collections.abc import Collection

import click

from gateway.cli.context import print_json
from gateway.errors import LoadRefused


def content_of(file: str, most_bytes: int) -> bytes:
    """What is in `file`; `-` is standard input. Raises LoadRefused."""
    try:
        with click.open_file(file, "rb") as opened:
            content: bytes = opened.read(most_bytes + 1)
    except OSError:
        raise LoadRefused([f"{file} can't be read"]) from None
    if len(content) > most_bytes:
        raise LoadRefused([f"the file is longer than {most_bytes} bytes"])
    return content


def print_outcomes(outcomes: Collection[tuple[str, str]], *, as_json: bool) -> None:
    """What became of each entry: its id, and loaded, updated or unchanged."""
    if as_json:
        results = [result for _, result in outcomes]
        print_json({**{word: results.count(word) for word in ("loaded", "updated", "unchanged")}, "rejected": []})
        return
    for id_, result in outcomes:
        click.echo(f"{id_}: {result}")
