"""A pynetdicom AE as its documentation shows one, for comparison: AE_TITLE FOLDER SECONDS PORT [TLS_PORT PEM].

``SECONDS`` is every timeout that it has. It takes large objects the way that bounds its memory (a file of its own).
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

from pynetdicom import AE, _config, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import CTImageStorage, Verification


def main(ae_title: str, folder: str, seconds: str, port: str, *tls: str) -> None:
    """Serve until killed."""

    def store(event: Event) -> int:
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        data_set.save_as(Path(folder) / data_set.SOPInstanceUID, enforce_file_format=True)
        return 0x0000

    def store_chunked(event: Event) -> int:
        event.dataset_path.rename(Path(folder) / event.request.AffectedSOPInstanceUID)
        return 0x0000

    ae = AE(ae_title=ae_title)
    ae.maximum_associations = 200
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = float(seconds)
    ae.add_supported_context(Verification)
    ae.add_supported_context(CTImageStorage)
    chunked = _config.STORE_RECV_CHUNKED_DATASET = "--chunked" in tls
    handlers = [(evt.EVT_C_STORE, store_chunked if chunked else store)]
    if len(tls) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls[1])
        ae.start_server(("127.0.0.1", int(tls[0])), evt_handlers=handlers, ssl_context=context, block=False)
    ae.start_server(("127.0.0.1", int(port)), evt_handlers=handlers)


if __name__ == "__main__":
    main(*sys.argv[1:])
