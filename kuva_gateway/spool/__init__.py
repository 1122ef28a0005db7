"""Files: what was received, from its first byte to its removal.

Keeps every byte that was acknowledged, under names that say what it is: ``arrived/<receipt>.<peer>.<sha256>`` until the
catalog has it, ``instances/ab/<sha256>`` from then on. Promises that what :meth:`Incoming.commit` returned is on stable
storage, and that nothing is ever written over an existing name.
"""

from kuva_gateway.spool.errors import StorageError
from kuva_gateway.spool.files import Files
from kuva_gateway.spool.incoming import Incoming
from kuva_gateway.spool.receipt import Arrival, Receipt
from kuva_gateway.spool.spool import Spool

__all__ = ["Arrival", "Files", "Incoming", "Receipt", "Spool", "StorageError"]
