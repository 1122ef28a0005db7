"""What every command shares: ``--config`` and ``--json`` in any position, the configuration, the catalog, the daemon.

A command gets an :class:`Invocation` and asks it for what it needs, when it needs it: ``config check`` never opens a
catalog, and only ``run``, ``receive`` and the imports create a state directory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kuva_gateway.cli.examples import EXAMPLES
from kuva_gateway.config import Configuration, load, locate
from kuva_gateway.control import ask
from kuva_gateway.errors import DeferredError, NotFoundError

PROGRAM = "kuva-gateway"

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog
    from kuva_gateway.spool.spool import Spool


class Invocation:
    """One run of the command line. Everything that it opened is closed by :meth:`close`."""

    def __init__(self) -> None:
        self.config_option: str | None = None
        self.json = False
        self.reads_only = False
        self._configuration: Configuration | None = None
        self._catalog: Catalog | None = None

    @property
    def config_path(self) -> Path:
        """The configuration file in use."""
        return locate(self.config_option)

    def configuration(self) -> Configuration:
        """The checked configuration; raises ConfigurationError with every fault."""
        if self._configuration is None:
            self._configuration = load(self.config_path)
        return self._configuration

    def state_directory(self, *, create: bool = False) -> Path:
        """The state directory.

        Raises
        ------
        NotFoundError
            It does not exist, and ``create`` is false.
        """
        state = self.configuration().state_directory
        if create:
            from kuva_gateway.parts import make_state_directory

            make_state_directory(state)
        elif not state.is_dir():
            raise NotFoundError(f"there is no state directory {state} (the gateway has not run yet)")
        return state

    def catalog(self, *, create: bool = False) -> Catalog:
        """The catalog, opened once; with ``create`` the state directory and the catalog are made if needed."""
        if self._catalog is None:
            from kuva_gateway.parts import open_catalog, tell_journal

            self.state_directory(create=create)
            catalog = open_catalog(self.configuration(), create=create, read_only=self.reads_only)
            catalog.on_noted = lambda: tell_journal(self.configuration(), catalog)
            self._catalog = catalog
        return self._catalog

    def spool(self, *, create: bool = False) -> Spool:
        """The spool's folders."""
        from kuva_gateway.parts import open_spool

        self.state_directory(create=create)
        return open_spool(self.configuration())

    def now(self) -> datetime:
        """This moment, UTC."""
        return datetime.now(UTC)

    def poke(self, what: str = "wake") -> bool:
        """Tell a running daemon to look at once; False when none runs."""
        try:
            ask(self.configuration().state_directory / "control.sock", {"request": what})
        except DeferredError:
            return False
        return True

    def close(self) -> None:
        """Close what was opened."""
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.ensure_object(Invocation), name, value)

    return callback


def _common_options() -> list[click.Option]:
    config = click.Option(
        ["--config"],
        metavar="PATH",
        help="The configuration file.",
        expose_value=False,
        callback=_remember("config_option"),
    )
    as_json = click.Option(
        ["--json"], is_flag=True, help="Print one JSON value.", expose_value=False, callback=_remember("json")
    )
    return [config, as_json]


class Command(click.Command):
    """A command that takes the common options, and whose help ends with an example."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params.extend(_common_options())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        example = EXAMPLES.get(ctx.command_path.partition(" ")[2])
        if example:
            with formatter.section("Example"):
                formatter.write(f"{'':{formatter.current_indent}}{PROGRAM} {example}\n")


class Group(click.Group):
    """A group whose commands take the common options, and which takes them itself."""

    command_class = Command
    group_class = type

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params.extend(_common_options())


@contextlib.contextmanager
def closing(invocation: Invocation) -> Any:
    """Close the invocation's catalog at the end, whatever happened."""
    try:
        yield invocation
    finally:
        invocation.close()


def _written(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A decision has somebody's name under it and a reason: blanks are neither."""
    if value is not None and not value.strip():
        raise click.UsageError(f"--{parameter.name} is empty")
    return value.strip() if value is not None else None


def decision(*, reason_required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for a person's decision: who, and why."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        why = click.option("--reason", required=reason_required, metavar="TEXT", help="Why.", callback=_written)
        who = click.option("--by", required=True, metavar="WHO", help="Who decides.", callback=_written)
        return who(why(command))

    return decorate


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
