"""How every command answers: in Chinese for people, as JSON for programs. Light to import, as the command line must start at once."""

import json
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="以 JSON 输出，供程序读取。")]


def say(as_json: bool, data: Any, text: str) -> None:
    """Print `data` as JSON where it was asked for, else `text`."""
    typer.echo(json.dumps(data, ensure_ascii=False, default=str, indent=2) if as_json else text)
