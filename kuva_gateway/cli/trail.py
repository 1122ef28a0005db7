"""What commands tell the audit trail themselves: who sat at the terminal, and what was done there."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kuva_gateway.cli.invocation import Invocation
from kuva_gateway.cli.output import say
from kuva_gateway.errors import GatewayError

if TYPE_CHECKING:
    from kuva_gateway.audit.events import Node
    from kuva_gateway.audit.message import Message


def person() -> str:
    """Who sits at the terminal: behind sudo, the one who called it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def tell(invocation: Invocation, make: Callable[[Node, datetime], Message], what: str) -> bool:
    """Append a message to the trail; ``what`` names, on standard error, what could not be written into it.

    Returns whether it is there.
    """
    from kuva_gateway.audit.message import to_xml
    from kuva_gateway.audit.trail import Trail
    from kuva_gateway.parts import audit_folder, audit_source

    us, source = audit_source(invocation.configuration())
    message = make(us, datetime.now(UTC))
    try:
        Trail(audit_folder(invocation.configuration())).append([(message.at, to_xml(message, source))])
    except (OSError, GatewayError) as error:
        say(f"kuva-gateway: {what} could not be written into the audit trail: {error}")
        return False
    return True
