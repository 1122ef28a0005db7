"""A pynetdicom AE that only writes the bytes it got, as fast as its handlers allow: PORT AE_TITLE FOLDER [CERT KEY]."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.events import Event

# Standard event handlers compose log texts for every PDU.
_config.LOG_HANDLER_LEVEL = "none"


def main(port: str, ae_title: str, folder: str, *tls: str) -> None:
    """Serve until killed."""
    out = Path(folder)

    def store(event: Event) -> int:
        (out / event.request.AffectedSOPInstanceUID).write_bytes(event.encoded_dataset())
        return 0x0000

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    ae = AE(ae_title=ae_title)
    ae.maximum_associations = 64
    ae.maximum_pdu_size = 131072
    for offered in AllStoragePresentationContexts:
        ae.add_supported_context(offered.abstract_syntax)
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    ae.start_server(("127.0.0.1", int(port)), evt_handlers=[(evt.EVT_C_STORE, store)], ssl_context=context)


if __name__ == "__main__":
    main(*sys.argv[1:])
