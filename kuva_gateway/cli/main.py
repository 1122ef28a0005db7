"""The command tree, and the one place where an error becomes a line and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from kuva_gateway import __version__
from kuva_gateway.cli.invocation import Group, Invocation, closing
from kuva_gateway.cli.output import say
from kuva_gateway.errors import ConfigurationError, GatewayError
from kuva_gateway.log import configure_for_commands

_COMMANDS = {
    "run": ("kuva_gateway.cli.run", "run", "The daemon, in the foreground."),
    "config": ("kuva_gateway.cli.config", "config", "Check, show and reload the configuration."),
    "codes": ("kuva_gateway.cli.codes", "codes", "Import and show procedure codes."),
    "documents": (
        "kuva_gateway.cli.documents",
        "documents",
        "Imaging documents: import, list, show, invalidate, explain.",
    ),
    "authorizations": (
        "kuva_gateway.cli.authorizations",
        "authorizations",
        "Service-purchase authorizations: import, list, invalidate.",
    ),
    "providers": ("kuva_gateway.cli.providers", "providers", "Providers that use the archive: list, set, add."),
    "studies": ("kuva_gateway.cli.studies", "studies", "Studies: list, show, trace, release, reject, amend, recheck."),
    "patients": ("kuva_gateway.cli.patients", "patients", "Patients: link a temporary or wrong id with the right one."),
    "queue": ("kuva_gateway.cli.queue", "queue", "Queue entries: list, retry, hold, release, cancel."),
    "peers": ("kuva_gateway.cli.peers", "peers", "Configured peers: list, echo."),
    "check": ("kuva_gateway.cli.check", "check", "Judge files without receiving them."),
    "receive": ("kuva_gateway.cli.receive", "receive", "Take files through the same spool."),
    "spool": ("kuva_gateway.cli.spool", "spool", "Verify the stored files."),
    "catalog": ("kuva_gateway.cli.catalog", "catalog", "Rebuild the catalog from the spool."),
    "backup": ("kuva_gateway.cli.backup", "backup", "Back everything up while the gateway runs."),
    "restore": ("kuva_gateway.cli.backup", "restore", "Make the gateway again from a backup."),
    "audit": ("kuva_gateway.cli.audit", "audit", "The audit trail: list, verify."),
    "stats": ("kuva_gateway.cli.stats", "stats", "Figures: studies, entries, arrivals."),
    "web": ("kuva_gateway.cli.web", "web", "The status page, for a browser."),
    "doctor": ("kuva_gateway.cli.doctor", "doctor", "What may be wrong with this installation, and what to do."),
}


class LazyGroup(Group):
    """Imports a command's module when the command is used: the daemon never pays for tables and progress bars."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kuva-gateway")
def commands() -> None:
    """The DICOM gateway between a hospital and the national imaging archive."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status (DESIGN: 0 done, 1 refused, 2 wrong usage or configuration)."""
    with closing(Invocation()) as invocation:
        return _run(list(sys.argv[1:] if arguments is None else arguments), invocation)


def _run(arguments: list[str], invocation: Invocation) -> int:
    configure_for_commands()
    os.umask(0o077)  # whatever a command makes holds patients' data
    try:
        outcome: Any = commands.main(arguments, prog_name="kuva-gateway", standalone_mode=False, obj=invocation)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        where = error.ctx.command_path if error.ctx is not None else "kuva-gateway"
        say(f"{where}: which command? (see {where} --help)")
        return 2
    except click.ClickException as error:
        say(f"kuva-gateway: {error.format_message().splitlines()[0]}")
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("kuva-gateway: interrupted")
        return 130
    except ConfigurationError as error:
        say(str(error))
        return 2
    except GatewayError as error:
        say(f"kuva-gateway: {error}")
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename is not None else ""
        say(f"kuva-gateway: {error.strerror or type(error).__name__}{where}")
        return 1
    return outcome if isinstance(outcome, int) else 0
