"""The command `settings`: say what is set, and by what."""

from typing import Any

import click

from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.screen import print_json
from tracklog.analytics.commands.settings import KEYS, Setting, setting
from tracklog.analytics.commands.text import one_line


@click.command("settings")
@asks
def command(asked: Asked) -> None:
    """Show each setting, its value, and where it came from.

    An option goes before the environment, the environment before tracklog.toml in this directory or one above it, and
    that before tracklog/config.toml in $XDG_CONFIG_HOME or ~/.config.
    """
    found = {name: setting(name) for name in KEYS}
    if asked.given.database:
        found["database"] = Setting(asked.given.database, "--db")
    shown = {name: {"value": _shown(name, one.value), "from": one.origin} for name, one in found.items()}
    if asked.json:
        print_json(shown)
        return
    texts = {name: _text(one["value"]) for name, one in shown.items()}
    wide = max(map(len, texts.values()))
    for name, one in shown.items():
        click.echo(f"{name:<11}  {texts[name]:<{wide}}  {one_line(one['from'])}")


def _shown(name: str, value: Any) -> Any:
    if name != "database":
        return value
    from tracklog.ingester.database import database_url, shown

    return shown(database_url(value))


def _text(value: Any) -> str:
    if value is None or value == ():
        return "–"
    return one_line(" ".join(value) if isinstance(value, tuple) else value)
