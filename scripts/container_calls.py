"""Calls to the gateway of a container, made from within its network; prints what came of them."""

from __future__ import annotations

import json
import os
import select
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from kuva_gateway.network import AssociationRejected, CannotConnect, NetworkError, ProposedContext, Target, connect
from kuva_gateway.network.sending import FileSlice

PORT = 11112
CT, VERIFICATION, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1", "1.2.840.10008.1.2.1"
TOGETHER = 50
"""Images for each association of the load."""


def echo(calling: str) -> str:
    """One C-ECHO: answered, rejected, refused (no connection) or cut off."""
    target = Target(host="127.0.0.1", port=PORT, called_ae="KUVAGW", calling_ae=calling)
    contexts = [ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,))]
    try:
        with connect(target, contexts) as association:
            return "answered" if association.echo() == 0 else "failed"
    except AssociationRejected:
        return "rejected"
    except CannotConnect:
        return "refused"
    except NetworkError:
        return "cut off"


def echoes(calling: str) -> dict[str, int]:
    """A C-ECHO every 100 ms until standard input ends; a line for each."""
    found: Counter[str] = Counter()
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        what = echo(calling)
        found[what] += 1
        print(what, flush=True)
    return dict(found)


def store(calling: str) -> dict[str, object]:
    """Images of 512 KiB until nobody takes them, a line for each; how many were acknowledged, and how it ended."""
    contexts = [ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))]
    target = Target(host="127.0.0.1", port=PORT, called_ae="KUVAGW", calling_ae=calling)
    acknowledged = 0
    try:
        while True:
            with connect(target, contexts) as association:
                for _ in range(TOGETHER):
                    uid, data = image(acknowledged)
                    descriptor = os.memfd_create("image")
                    try:
                        os.write(descriptor, data)
                        answer = association.store(
                            association.contexts[1],
                            sop_class=CT,
                            sop_instance=uid,
                            data=[FileSlice(descriptor=descriptor, offset=0, length=len(data))],
                        )
                    finally:
                        os.close(descriptor)
                    acknowledged += answer.status == 0
                    print(answer.status, flush=True)
    except NetworkError as error:
        return {"acknowledged": acknowledged, "how": str(error)}


def image(number: int) -> tuple[str, bytes]:
    """A CT image of a fictional patient."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CT, f"1.2.3.{os.getpid()}.{number + 1}"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.3.{os.getpid()}", f"1.2.3.{os.getpid()}.0"
    made.PatientID, made.PatientName, made.Modality = "010190-999X", "Testi^Tiina", "CT"
    made.Rows = made.Columns = 512
    made.add_new(0x7FE00010, "OW", bytes(512 * 1024))
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, made)
    return made.SOPInstanceUID, stream.getvalue()


def main(arguments: Sequence[str]) -> int:
    """``echo AE`` | ``echoes AE`` | ``store AE``."""
    what, argument = arguments
    if what == "echo":
        print(echo(argument))
    else:
        print(json.dumps(echoes(argument) if what == "echoes" else store(argument)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
