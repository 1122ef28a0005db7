"""Who receives: what every receiver promises the measurement, and the peers that the gateway is compared with.

Each is started afresh for a round, in a state directory of its own, and with the options that make it fastest.
"""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from .processes import NODELAY, child, environment, free_port, program, wait_for
from .shim import new_count, read_count

AE_TITLE = "RECEIVER"
# The longest PDU that DCMTK can be told to take.
PDU = "131072"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a receiver is started for: its folder, over how many associations at once, and TLS or not."""

    folder: Path
    associations: int
    tls: bool
    certificate: Path
    key: Path
    shim: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A receiver that listens.

    ``finish(count)`` returns when ``count`` instances in all are as safe as this receiver makes them; ``held`` gives
    the Part 10 files that it holds; ``fsyncs`` and ``catalogued`` count, where somebody does, the calls of fsync and
    the instances in the catalog.
    """

    port: int
    pid: int
    held: Callable[[], Iterable[Path]]
    finish: Callable[[int], None] = lambda count: None
    fsyncs: Callable[[], int] | None = None
    catalogued: Callable[[], int] | None = None


Start = Callable[[Setting], AbstractContextManager[Receiver]]


def dcmtk_tls(setting: Setting) -> list[str]:
    """TLS options of a DCMTK acceptor: its certificate, and none asked of the sender."""
    return ["+tls", str(setting.key), str(setting.certificate), "-ic"] if setting.tls else []


def files_below(folder: Path) -> Iterable[Path]:
    """Every file below ``folder``."""
    return (path for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def storescp(setting: Setting, *, durable: bool = False, mode: str = "+B") -> Iterator[Receiver]:
    """DCMTK's storescp: files as they came, not catalogued; with the shim, durable.

    Bit preserving (``+B``) spares it to decode and encode each data set, which is half of its CPU time and its
    default (``-B``). It forks where several associations come at once.
    """
    port, out, count = free_port(), setting.folder / "out", setting.folder / "fsyncs"
    out.mkdir()
    env = environment(**NODELAY)
    if durable:
        assert setting.shim is not None
        env = environment(**NODELAY, LD_PRELOAD=str(setting.shim), **new_count(count))
    command = [
        program("storescp"), "--quiet", "--fork" if setting.associations > 1 else "--single-process",
        *dcmtk_tls(setting), "-aet", AE_TITLE, "-dhl", "-pm", "+xa", mode, "-pdu", PDU, "-od", str(out), str(port),
    ]  # fmt: skip
    with child(command, log=setting.folder / "log", port=port, env=env) as process:
        yield Receiver(
            port=port,
            pid=process.pid,
            held=lambda: files_below(out),
            fsyncs=(lambda: read_count(count)) if durable else None,
        )


def durable_storescp(setting: Setting) -> AbstractContextManager[Receiver]:
    """storescp that fsyncs what it closes."""
    return storescp(setting, durable=True)


def normal_storescp(setting: Setting) -> AbstractContextManager[Receiver]:
    """storescp in its default mode."""
    return storescp(setting, mode="-B")


@contextlib.contextmanager
def dcmqrscp(setting: Setting) -> Iterator[Receiver]:
    """DCMTK's dcmqrscp: files as they came and an index file, not durable. It speaks no TLS.

    It forks always: version 3.6.7 in a single process dies of a segmentation fault after its first association. With
    several at once its processes overwrite one another's files, and rounds fail. Its limits are the highest it takes; a
    study must stay below 1 GiB, or it removes images.
    """
    port, out = free_port(), setting.folder / "out"
    out.mkdir()
    config = setting.folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = {PDU}\nMaxAssociations = 64\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{AE_TITLE} {out} RW (500, 1gb) ANY\nAETable END\n"
    )
    command = [
        program("dcmqrscp"), "--quiet", "-c", str(config), "--fork", "-dhl", "-pdu", PDU, "+B",
    ]  # fmt: skip
    with child(command, log=setting.folder / "log", port=port, env=environment(**NODELAY)) as process:
        yield Receiver(port=port, pid=process.pid, held=lambda: out.glob("*.dcm"))


@contextlib.contextmanager
def orthanc(setting: Setting) -> Iterator[Receiver]:
    """Orthanc with its SQLite index and its default settings (durable), a larger PDU aside; done when it counts all.

    It is DCMTK inside: without the switch its answers wait 40 ms for Nagle's algorithm.
    """
    port, http, home = free_port(), free_port(), setting.folder / "out"
    home.mkdir()
    settings: dict[str, object] = {
        "StorageDirectory": str(home), "IndexDirectory": str(home), "Plugins": [], "DicomAet": AE_TITLE,
        "DicomPort": port, "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "MaximumPduLength": int(PDU),
    }  # fmt: skip
    if setting.tls:
        settings |= {
            "DicomTlsEnabled": True, "DicomTlsCertificate": str(setting.certificate),
            "DicomTlsPrivateKey": str(setting.key), "DicomTlsTrustedCertificates": str(setting.certificate),
            "DicomTlsRemoteCertificateRequired": False,
        }  # fmt: skip
    config = setting.folder / "orthanc.json"
    config.write_text(json.dumps(settings))

    def counted() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/statistics", timeout=60) as answer:
                return int(json.loads(answer.read())["CountInstances"])
        except urllib.error.URLError:
            return -1

    def held() -> Iterable[Path]:
        # It keeps files under two folders of two hexadecimal digits; some are extracts in JSON, not images.
        for path in home.glob("??/??/*"):
            with path.open("rb") as stream:
                if stream.read(132)[128:] == b"DICM":
                    yield path

    env = environment(**NODELAY)
    with child([program("Orthanc"), str(config)], log=setting.folder / "log", port=port, env=env) as process:
        wait_for(lambda: counted() >= 0, "Orthanc's REST interface")
        yield Receiver(
            port=port,
            pid=process.pid,
            held=held,
            finish=lambda count: wait_for(lambda: counted() >= count, "Orthanc's index"),
        )


@contextlib.contextmanager
def pynetdicom(setting: Setting) -> Iterator[Receiver]:
    """A pynetdicom AE that only writes the bytes it got: neither durable nor catalogued."""
    port, out = free_port(), setting.folder / "out"
    out.mkdir()
    tls = [str(setting.certificate), str(setting.key)] if setting.tls else []
    command = [sys.executable, str(Path(__file__).with_name("pynetdicom_ae.py")), str(port), AE_TITLE, str(out), *tls]
    with child(command, log=setting.folder / "log", port=port, env=environment()) as process:
        yield Receiver(port=port, pid=process.pid, held=lambda: files_below(out))


PEERS: dict[str, Start] = {
    "storescp": storescp,
    "storescp+fsync": durable_storescp,
    "orthanc": orthanc,
    "dcmqrscp": dcmqrscp,
    "pynetdicom": pynetdicom,
}
# Measured only when they are asked for by name.
OTHERS: dict[str, Start] = {"storescp-normal": normal_storescp}
WITHOUT_TLS = frozenset({"dcmqrscp"})
NOTES = {
    "gateway": "the daemon with its default settings; durable and catalogued",
    "storescp": "--quiet +B -pm +xa -dhl -pdu 131072, --fork for several associations; not durable, not catalogued",
    "storescp-normal": "the same with -B, DCMTK's default: each data set is decoded and encoded",
    "storescp+fsync": "storescp with a preloaded shim that calls fsync before it closes a file it wrote",
    "orthanc": "defaults but MaximumPduLength 131072 and TCP_NODELAY=1; SQLite; durable and catalogued",
    "dcmqrscp": "--quiet +B -dhl -pdu 131072 --fork; an index file, not durable; no TLS",
    "pynetdicom": "an AE whose handler writes event.encoded_dataset(); not durable, not catalogued",
}
