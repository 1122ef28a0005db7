"""Files that the gateway or its operator wrote, as a slip of the hand or a bad disk leaves them, and what leaves it."""

from __future__ import annotations

import atexit
import contextlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from harness import Harness, Input

from kuva_gateway.audit import events, reading, trail
from kuva_gateway.audit.collector import frame
from kuva_gateway.audit.events import Node, StudyTold
from kuva_gateway.audit.message import Source, to_xml
from kuva_gateway.clinical.content_classes import ContentClasses
from kuva_gateway.config.load import parse, validate
from kuva_gateway.dicom.header import HeaderError, from_json, to_json
from kuva_gateway.errors import ConfigurationError, DamageError
from kuva_gateway.journal import Damage, Journal
from kuva_gateway.spool.receipt import Receipt, arrival_name, parse_name

AT = datetime(2026, 11, 22, 3, 4, 5, 678, UTC)
HERE = Path("/etc/kuva-gateway/kuva-gateway.yaml")
SHIPPED = Path(__file__).resolve().parents[2] / "conf"


@cache
def _folder() -> Path:
    made = tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


# -- configuration ----------------------------------------------------------------------------------------------------


def check_configuration(data: bytes) -> None:
    """A configuration (or the classes of content), or ConfigurationError that names each fault once."""
    choices = Input(data)
    try:
        if choices.number(2):
            classes = validate(choices.rest, HERE, ContentClasses)
            classes.ids_of(["GD1AA", "YX8AD"])
        else:
            assert parse(choices.rest, HERE).state_directory.is_absolute()
    except ConfigurationError as error:
        assert error.problems
        assert str(error)


def _configuration_seeds() -> Iterator[bytes]:
    yield b"\0ae_title: KUVAGW\npeers:\n  ct1: {ae_title: CT1, networks: [10.1.0.0/16]}\n"
    lines = (SHIPPED / "kuva-gateway.yaml").read_text("utf-8").splitlines()
    told = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    yield b"\0" + "\n".join(told).encode()[:4000]
    uncommented = [line.replace("# ", "", 1) if ": " in line and line.startswith("# ") else line for line in lines]
    yield b"\0" + "\n".join(line for line in uncommented if not line.lstrip().startswith("#")).encode()[:4000]
    yield b"\1" + (SHIPPED / "content-classes.yaml").read_bytes()[-1500:]
    yield b"\1classes:\n- {id: ct, name: {en: CT, fi: TT}, codes: ['??2*'], open_from: 2018-01-01, closed: false}\n"
    yield b"\0a: &a [1, 2]\nb: *a\nc: !!int '0x1f'\n? d\n: !!binary aGk=\n"


# -- audit trail ------------------------------------------------------------------------------------------------------


def check_trail(data: bytes) -> None:
    """The trail's lines: read, or DamageError; nothing is bound to what is damaged, and nothing whole is taken away."""
    choices = Input(data)
    folder = _folder() / "trail"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    path = folder / "000000000001.jsonl"
    lines = (_bound(choices.rest) if choices.number(2) else choices.rest)[:]
    path.write_bytes(lines)
    found: list[trail.Record] = []
    try:
        found.extend(trail.records(folder))
        for record in found:
            _told(record)
        for _ in trail.verify(folder):
            pass
        trail.last_number(folder)
    except DamageError:
        pass
    try:
        end = trail.Trail(folder).append([(AT, "<AuditMessage/>")])
    except DamageError:
        return
    kept = path.read_bytes()
    assert kept.startswith(lines[: lines.rfind(b"\n") + 1])
    assert end.number >= 1


def _told(record: trail.Record) -> None:
    with contextlib.suppress(DamageError):
        reading.read(record)


def _bound(text: bytes) -> bytes:
    """Lines that have the digest of what they say, so that what they say is looked at."""
    end, made = trail.End(), b""
    for one in text.split(b"\n"):
        end, line = trail._bind(end, AT, one.decode("latin-1"))
        made += line
    return made


def _trail_seeds() -> Iterator[bytes]:
    messages = [to_xml(one, Source(identifier="K", site="S")) for one in _messages("CT1", "1.2.3", "why").values()]
    yield b"\1" + "\n".join(messages[:3]).encode()
    for one in messages:
        yield b"\1" + one.encode()
        yield b"\0" + _bound(one.encode())


# -- journal ----------------------------------------------------------------------------------------------------------


def check_journal(data: bytes) -> None:
    """The journal's lines: read, or counted as damage; what is appended is read back, and nothing whole is lost."""
    choices = Input(data)
    folder = _folder() / "journal"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    path = folder / "00000001.journal"
    content = choices.rest
    if choices.number(2):
        content = b"".join(b"%08x %s\n" % (zlib.crc32(one), one) for one in content.split(b"\n"))
    path.write_bytes(content)
    journal, damage = Journal(folder), Damage()
    before = list(journal.read(damage))
    with journal.turn():
        journal.append([{"kind": "link", "key": "ä"}])
    assert list(journal.read(Damage())) == [*before, {"kind": "link", "key": "ä"}]
    assert path.read_bytes().startswith(content[: content.rfind(b"\n") + 1])


def _journal_seeds() -> Iterator[bytes]:
    line = json.dumps({"kind": "study", "key": "1.2", "ledger": {"archive": "pc-"}}).encode()
    yield b"\1" + line + b"\n" + line
    yield b"\0%08x %s\n" % (zlib.crc32(line), line) + b"00000000 {}\n"


# -- what leaves: audit messages --------------------------------------------------------------------------------------


def check_messages(data: bytes) -> None:
    """Others' text in an audit message: well-formed XML on one line, one RFC 5424 frame, and told again."""
    texts = (data.decode("utf-8", "surrogateescape").split("\x1f") + [""] * 3)[:3]
    for message in _messages(*texts).values():
        xml = to_xml(message, Source(identifier=texts[0], site=texts[1]))
        ElementTree.fromstring(xml)
        record = trail.Record(number=1, at=AT, message=xml, hash="0", place=trail.Place("a", 0))
        reading.read(record)
        framed = frame(record, host="gateway", process=1)
        head, _, rest = framed.partition(b"\xef\xbb\xbf")
        assert head == b"<85>1 2026-11-22T03:04:05.000678Z gateway kuva-gateway 1 DICOM+RFC3881 - "
        assert rest.decode("utf-8") == xml


def _messages(one: str, two: str, three: str) -> dict[str, events.Message]:
    us, other = Node(ae_title="KUVAGW", address="gw"), Node(ae_title=one, address=two, certificate=three, user=one)
    study = StudyTold(uid=two, patient_id=one, accession_number=three, sop_classes={two: 3})
    return {
        "refused": events.refused(us, AT, caller=other, why=three, times=2),
        "received": events.received(us, AT, sender=other, study=study),
        "moved": events.sent(us, AT, receiver=other, studies=[study], asker=other, failure=three),
        "decided": events.decided(us, AT, person=one, what=three, study=study),
        "queried": events.queried(
            us, AT, asker=other, sop_class=two, transfer_syntax=two, identifier=three.encode("utf-8", "surrogateescape")
        ),
    }


# -- names and headers that are kept ----------------------------------------------------------------------------------


def check_kept(data: bytes) -> None:
    """Names of arrivals and headers as JSON: read back as they were written, or refused."""
    choices = Input(data)
    text = choices.rest.decode("utf-8", "surrogateescape")
    if choices.number(2):
        try:
            header = from_json(text)
        except HeaderError:
            return
        try:
            assert from_json(to_json(header)) == header
        except (TypeError, ValueError, AttributeError):
            return  # values of other kinds than a header's own, which nobody wrote
        return
    parsed = parse_name(text)
    if parsed is not None:
        assert arrival_name(*parsed) == text or not text.isascii()
    try:
        receipt = Receipt.parse(text)
    except ValueError:
        return
    assert str(receipt) == text or not text.isascii()


def _kept_seeds() -> Iterator[bytes]:
    yield b"\0" + arrival_name(Receipt(time_ns=1, association=2, number=3), "ct1", "0" * 64).encode()
    yield b"\0" + str(Receipt(time_ns=1, association=2, number=3)).encode()
    yield b'\1{"sop_class_uid":"1.2","procedure_codes":[["a","b","","c"]],"requests":[["1","2","3"]],"rows":5}'


HARNESSES = (
    Harness(
        name="configuration",
        of="configuration and classes of content (YAML)",
        check=check_configuration,
        seeds=_configuration_seeds,
        words=(
            b"!!int ",
            b"!!bool ",
            b"!!float ",
            b"!!binary ",
            b"!!python/name:",
            b"&a ",
            b"*a",
            b"<<: ",
            b"? ",
            b"- ",
            b"%YAML 1.1",
            b"---",
            b"peers:",
            b"networks:",
        ),
    ),
    Harness(
        name="trail",
        of="lines of the audit trail",
        check=check_trail,
        seeds=_trail_seeds,
        words=(b'{"n":1,"at":"', b'"before":"', b'"message":"', b'"hash":"', b"Infinity", b"1e999", b"[[[["),
    ),
    Harness(
        name="journal",
        of="lines of the journal",
        check=check_journal,
        seeds=_journal_seeds,
        longest=1024,
        words=(b'{"kind":', b"NaN", b"Infinity", b"1e999", b"[[[[", b"\\ud800"),
    ),
    Harness(
        name="messages",
        of="others' text in audit messages (XML in RFC 5424)",
        check=check_messages,
        seeds=lambda: [b"CT1\x1f1.2.3\x1fwhy", b"<&>\"'\x00\x1f\xef\xbf\xbe\x1f]]>\r\n"],
        longest=256,
        words=(b"\x1f", b"]]>", b"&amp;", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\n", b"\x00"),
    ),
    Harness(name="kept", of="names of arrivals, headers as JSON", check=check_kept, seeds=_kept_seeds, longest=512),
)
