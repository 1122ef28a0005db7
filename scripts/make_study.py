"""Writes a study (and its imaging documents) to a folder: real pixels or waveforms, a fictional patient.

Examples::

    scripts/make-study ct out/ --accession A0042
    scripts/make-study ecg out/ --documents
    scripts/make-study ct out/ --load 1000 --pixel-bytes 512KiB
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path

from studymaker import HETUS, SOURCES, Order, documents, load_files, make_study, new_uid


def size(text: str) -> int:
    """Bytes, as ``8192``, ``8KiB`` or ``1MiB``."""
    for unit, factor in (("KiB", 1024), ("MiB", 1024**2)):
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    return int(text)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="make-study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=sorted(SOURCES), help="which of the real files to start from")
    parser.add_argument("folder", type=Path, help="where to write the files")
    parser.add_argument("--accession", default="A0001", help="accession number (default: %(default)s)")
    parser.add_argument(
        "--patient", type=int, default=0, metavar="N", help=f"which fictional patient, 0 to {len(HETUS) - 1}"
    )
    parser.add_argument("--code", default="", help="procedure code (default: one that fits the kind)")
    parser.add_argument("--study-date", type=date.fromisoformat, default=date(2024, 3, 4), metavar="YYYY-MM-DD")
    parser.add_argument("--study-uid", default=None, help="Study Instance UID (default: a fresh one)")
    parser.add_argument("--series", type=int, default=1)
    parser.add_argument("--instances", type=int, default=1, help="instances in each series")
    parser.add_argument("--pixel-bytes", type=size, default=None, help="length of the pixel data, as 512KiB")
    parser.add_argument("--documents", action="store_true", help="write request, examination entry and report as well")
    parser.add_argument(
        "--load", type=int, default=0, metavar="N", help="N images for a load test instead of one study"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Write what was asked for and say what it is, as one JSON object."""
    options = parse(arguments)
    if options.load:
        length = load_files(options.folder, count=options.load, pixel_bytes=options.pixel_bytes or 512 * 1024)
        print(json.dumps({"files": options.load, "bytes": length}))
        return 0
    study = make_study(
        Order(
            kind=options.kind,
            hetu=HETUS[options.patient],
            accession=options.accession,
            code=options.code,
            study_date=options.study_date,
            study_uid=options.study_uid or new_uid(),
            series=options.series,
            instances=options.instances,
            pixel_bytes=options.pixel_bytes,
        )
    )
    files = [str(path) for path in study.write(options.folder)]
    if options.documents:
        from synthetic_documents import build_document

        for name, content in documents(build_document, study):
            path = options.folder / name
            path.write_bytes(content)
            files.append(str(path))
    print(json.dumps({"study_instance_uid": study.uid, "accession_number": options.accession, "files": files}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
