"""One C-STORE of one instance, from its file to an outcome: whatever goes wrong on the way is judged here.

Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kuva_gateway.decoding.process import Decoder
from kuva_gateway.dicom.amending import AmendingError
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.reencoding import ReencodingError
from kuva_gateway.errors import DamageError, DeferredError, GatewayError
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import judge_break
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.forward.outgoing import OpenFile, Sendable, open_outgoing
from kuva_gateway.network import errors
from kuva_gateway.network.records import StoreAnswer
from kuva_gateway.network.sending import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where data sets come from. ``decoder``: None where nothing may be decompressed."""

    open_file: OpenFile
    decoder: Decoder | None = None
    stopping: Callable[[], bool] = lambda: False


def store(source: Source, instance: Sendable, send: Callable[[Sequence[Part]], StoreAnswer], into: str = "") -> Outcome:
    """What became of ``instance``, given to ``send`` in transfer syntax ``into`` ("": as it is stored)."""
    try:
        with open_outgoing(source.open_file, instance, into, decoder=source.decoder, stopping=source.stopping) as data:
            answer = send(data)
    except errors.NetworkError as error:
        return judge_break(error)
    except AmendingError as error:
        return outcome.not_amendable(str(error))
    except ReencodingError as error:
        return outcome.not_reencoded(str(error))
    except DeferredError as error:
        return outcome.not_now(str(error))
    except (OSError, HeaderError, DamageError) as error:
        return _judge_file(error)
    return outcome.classify(answer.status, answer.comment, answer.offending)


def _judge_file(error: OSError | HeaderError | DamageError) -> Outcome:
    """Missing or other bytes are a person's matter (QUA-01); a file system that fails says nothing about the bytes."""
    failed = error if isinstance(error, OSError) else error.__cause__
    if isinstance(failed, OSError) and not isinstance(failed, FileNotFoundError):
        return outcome.not_read_now(failed.strerror or type(failed).__name__)
    return outcome.unreadable(str(error) if isinstance(error, GatewayError) else type(error).__name__)
