"""``check``: judge files by the same rules as the gateway would, without receiving them.

Keeps nothing and writes nothing. DICOM files (Part 10) and documents (CDA) may be mixed; which is which is told by what
a file begins with, not by its name.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from kuva_gateway.cli import completion
from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, emit_table, progress, say
from kuva_gateway.errors import GatewayError, NotFoundError

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog
    from kuva_gateway.clinical.authorizations import Authorization
    from kuva_gateway.clinical.codes import CodePeriod
    from kuva_gateway.clinical.document_profile import Profile
    from kuva_gateway.clinical.documents import ImagingDocument
    from kuva_gateway.dicom.header import Header
    from kuva_gateway.validation.facts import LookUp, StudyFacts
    from kuva_gateway.validation.findings import Verdict

_PREFIX_AT: Final = 128
_XML_BEGINS: Final = (b"<", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
"""A tag or a byte order mark."""
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    path: Path
    offset: int
    header: Header


@dataclass(slots=True)
class _Found:
    """What the paths hold."""

    images: list[_Image] = field(default_factory=list)
    documents: list[tuple[Path, ImagingDocument]] = field(default_factory=list)
    authorizations: list[Authorization] = field(default_factory=list)
    unreadable: int = 0


@click.command("check", cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option(
    "--peer", metavar="NAME", default="", shell_complete=completion.peers, help="Judge as if this peer had sent them."
)
@pass_invocation
def check(invocation: Invocation, paths: tuple[Path, ...], peer: str) -> int:
    """Judge images, documents and authorizations without receiving them; exit status 1 when anything would be held."""
    from kuva_gateway.parts import document_profile
    from kuva_gateway.validation.rules import judge

    configuration = invocation.configuration()
    if peer and configuration.peer(peer) is None:
        raise NotFoundError(f"there is no peer called {peer[:40]} in the configuration")
    found = _read_all(_files(paths), document_profile(configuration))
    studies = _facts(invocation, found, peer)
    severities = configuration.severities(peer)
    verdicts = [(facts, judge(facts, severities, configuration.language)) for facts in studies]
    _report(invocation, verdicts)
    _tell_strays(found, studies)
    return _status(found, verdicts)


def _facts(invocation: Invocation, found: _Found, peer: str) -> tuple[StudyFacts, ...]:
    from kuva_gateway.config.kinds import IMPORTED
    from kuva_gateway.parts import content_classes, make_parties_of, practice
    from kuva_gateway.validation.files import FileInstance, facts_from_files
    from kuva_gateway.validation.parties import with_authorizations

    configuration = invocation.configuration()
    catalog = _catalog(invocation)
    times = Counter(image.header.sop_instance_uid for image in found.images)
    return facts_from_files(
        [
            FileInstance(header=image.header, digest=_digest(image) if times[image.header.sop_instance_uid] > 1 else "")
            for image in found.images
        ],
        [document for _, document in found.documents],
        periods_for=_code_list(catalog),
        environment=configuration.environment,
        today=invocation.now().astimezone(ZoneInfo(configuration.timezone)).date(),
        private_classes=frozenset(configuration.private_storage_classes),
        practice=practice(configuration, content_classes(configuration)),
        duplicates=configuration.duplicates,
        parties_of=with_authorizations(make_parties_of(configuration, catalog), found.authorizations),
        peer=peer or IMPORTED,
    )


# -- reading ---------------------------------------------------------------------------------------------------------


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those in the folders named, in the order of their names; hidden ones are left alone."""
    files: dict[Path, None] = {}
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in below:
            if file == path or (file.is_file() and not file.name.startswith(".") and file.name != "DICOMDIR"):
                files[file] = None
    return list(files)


def _read_all(files: Sequence[Path], profile: Profile) -> _Found:
    found = _Found()
    with progress("reading", len(files)) as advance:
        for number, file in enumerate(files, start=1):
            try:
                _read(file, profile, found)
            except GatewayError as error:
                found.unreadable += 1
                say(f"{file}: {error}")
            except OSError as error:
                found.unreadable += 1
                say(f"{file}: {error.strerror}")
            advance(number)
    return found


def _read(file: Path, profile: Profile, found: _Found) -> None:
    """Read one file; raises GatewayError or OSError when it is neither a DICOM file nor a document."""
    from kuva_gateway.clinical.authorizations import VIEW, parse_authorization
    from kuva_gateway.clinical.documents import DocumentError, parse_document
    from kuva_gateway.dicom.header import HeaderError
    from kuva_gateway.dicom.part10 import PREFIX, read_meta
    from kuva_gateway.dicom.scanner import scan_stream

    with file.open("rb") as stream:
        start = stream.read(_PREFIX_AT + len(PREFIX))
        if start[_PREFIX_AT:] == PREFIX:
            meta = read_meta(stream)
            size = os.fstat(stream.fileno()).st_size - meta.dataset_offset
            header = scan_stream(stream, meta.dataset_offset, size, meta.transfer_syntax)
            found.images.append(_Image(path=file, offset=meta.dataset_offset, header=header))
        elif start.lstrip().startswith(_XML_BEGINS):
            stream.seek(0)
            data = stream.read(profile.maximum_bytes + 1)
            if len(data) > profile.maximum_bytes:
                raise DocumentError(f"longer than {profile.maximum_bytes} bytes")
            document = parse_document(data, profile)
            if VIEW in document.views:
                found.authorizations.append(parse_authorization(data))
            else:
                found.documents.append((file, document))
        else:
            raise HeaderError("neither a DICOM file (Part 10) nor a document (XML)")


def _digest(image: _Image) -> str:
    """SHA-256 of the data set in hexadecimal, with its transfer syntax: what makes two objects the same."""
    digest = hashlib.sha256(image.header.transfer_syntax_uid.encode())
    with image.path.open("rb") as stream:
        stream.seek(image.offset)
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _catalog(invocation: Invocation) -> Catalog | None:
    """The catalog, where the gateway has run; checking makes none."""
    if not invocation.configuration().state_directory.is_dir():
        return None
    try:
        return invocation.catalog()
    except NotFoundError:
        return None


def _code_list(catalog: Catalog | None) -> LookUp:
    """The catalog's code list, where it has one; else the starter list."""
    from kuva_gateway.catalog import codes

    if catalog is not None and codes.count(catalog) > 0:
        return partial(codes.periods_for, catalog)
    return _starter_codes()


def _starter_codes() -> LookUp:
    from kuva_gateway.clinical.code_list import read_code_list
    from kuva_gateway.intake.shipped import STARTER_CODES, shipped_file

    periods: dict[str, tuple[CodePeriod, ...]] = {}
    for period in read_code_list(STARTER_CODES, shipped_file(STARTER_CODES).read_bytes()).periods:
        periods[period.code] = (*periods.get(period.code, ()), period)

    def periods_for(wanted: Collection[str]) -> dict[str, tuple[CodePeriod, ...]]:
        return {code: periods.get(code, ()) for code in wanted}

    return periods_for


# -- telling ---------------------------------------------------------------------------------------------------------


def _report(invocation: Invocation, verdicts: Sequence[tuple[StudyFacts, Verdict]]) -> None:
    if invocation.json:
        emit_json([_as_json(facts, verdict) for facts, verdict in verdicts])
    elif verdicts:
        emit_table(["study", "severity", "rule", "where", "finding", "what to do"], _rows(verdicts))


def _as_json(facts: StudyFacts, verdict: Verdict) -> dict[str, Any]:
    return {
        "study_instance_uid": facts.study_instance_uid,
        "passed": verdict.passed,
        "instances": sum(one.instances for one in facts.sets),
        "documents": [linked.document.oid for linked in facts.documents],
        "findings": [{**asdict(finding), "overridden": None} for finding in verdict.findings],
    }


def _rows(verdicts: Sequence[tuple[StudyFacts, Verdict]]) -> Iterator[list[str]]:
    for facts, verdict in verdicts:
        uid = facts.study_instance_uid or "–"
        if verdict.passed:
            yield [uid, "passes", "", "", "", ""]
        for finding in verdict.findings:
            yield [uid, finding.severity, finding.rule, finding.where, finding.message, finding.remedy]


def _tell_strays(found: _Found, studies: Sequence[StudyFacts]) -> None:
    """Documents that belong to none of the studies are said: they were meant to."""
    linked = {one.document.oid for facts in studies for one in facts.documents}
    for file, document in found.documents:
        if document.oid not in linked:
            say(f"{file}: belongs to none of these studies")


def _status(found: _Found, verdicts: Sequence[tuple[StudyFacts, Verdict]]) -> int:
    """The exit status, and the line that says why it is not 0."""
    held = sum(not verdict.passed for _, verdict in verdicts)
    why = []
    if held:
        why.append(f"{held} of {len(verdicts)} studies would be held or refused")
    if found.unreadable:
        why.append(f"{found.unreadable} files could not be read")
    if not found.images:
        why.append("there is no DICOM file to judge")
    if why:
        say(f"kuva-gateway: {', '.join(why)}")
    return 1 if why else 0
