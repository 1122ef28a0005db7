"""The gateway's configuration: one YAML file, checked as a whole, every fault named with its line.

``model`` has the keys with their defaults, ``peer`` those of one peer, ``kinds`` what their values may be, ``units``
how durations and sizes are written, ``load`` the reading.
``conf/kuva-gateway.yaml`` documents every key; a test keeps it equal to the defaults.
"""

from kuva_gateway.config.load import load, locate, parse
from kuva_gateway.config.model import (
    Configuration,
    Destination,
    Documents,
    Limits,
    Listen,
    Timers,
)
from kuva_gateway.config.peer import Peer
from kuva_gateway.config.tls import Tls

__all__ = [
    "Configuration",
    "Destination",
    "Documents",
    "Limits",
    "Listen",
    "Peer",
    "Timers",
    "Tls",
    "load",
    "locate",
    "parse",
]
