"""What the configuration file's form cannot say: names that must exist elsewhere, files that must be readable."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kuva_gateway.config import Configuration
from kuva_gateway.config.kinds import IMPORTED
from kuva_gateway.errors import ConfigurationError, NotFoundError, Problem
from kuva_gateway.parts.calling import client_tls, server_tls
from kuva_gateway.parts.expiring import tls_notices
from kuva_gateway.parts.judging import code_mapping, content_classes

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog


def check_configuration(configuration: Configuration, path: Path) -> None:
    """Check what the file's form cannot say: rule ids, TLS files, that somebody can reach us.

    Raises
    ------
    ConfigurationError
        With every such fault.
    """
    from kuva_gateway.network.errors import TlsFilesError
    from kuva_gateway.validation.rules import RULES

    problems = []
    for place, rules in [
        ("rules", configuration.rules),
        *((f"peers.{p.name}.rules", p.rules) for p in configuration.peers),
    ]:
        problems += [
            Problem(line=None, key=f"{place}.{rule}", message=_no_rule(rule)) for rule in rules if rule not in RULES
        ]
    try:
        known = {one.id for one in content_classes(configuration).classes}
        problems += _unknown_classes(configuration, known)
    except ConfigurationError as error:
        problems += [
            Problem(line=None, key="archive.content_classes", message=f"{error.path}: {one}") for one in error.problems
        ]
    except NotFoundError as error:
        problems.append(Problem(line=None, key="archive.content_classes", message=str(error)))
    for make in (server_tls, client_tls):
        try:
            make(configuration)
        except TlsFilesError as error:
            problems.append(Problem(line=None, key="tls", message=str(error)))
    problems += _unknown_peers(configuration)
    problems += _wrong_oids(configuration)
    problems += _mapping_problems(configuration)
    problems += _no_program(configuration)
    problems += _no_upstream(configuration)
    if configuration.listen.port is None and configuration.tls.port is None:
        problems.append(
            Problem(line=None, key="listen.port", message="neither a plain nor a TLS port: nobody can reach us")
        )
    if problems:
        raise ConfigurationError(str(path), problems)


def notices(configuration: Configuration) -> list[str]:
    """What is no fault, and yet hardly meant; for a configuration that was checked."""
    from kuva_gateway.network.errors import TlsFilesError

    try:
        of_tls = tls_notices(configuration)
    except TlsFilesError as error:  # gone since
        of_tls = [f"tls: {error}"]
    return [*configuration.notices(), *of_tls, *missing_decoders(configuration)]


DECODERS = ("numpy", "imagecodecs", "gdcm")
"""What the extra ``decoding`` brings."""


def missing_decoders(configuration: Configuration) -> list[str]:
    """A notice for each destination that wants images decompressed where nothing can do that."""
    missing = [name for name in DECODERS if find_spec(name) is None]
    return [
        f"destinations.{one.name}: decompress is on, and the decoders are not installed ({', '.join(missing)}): images "
        "that it does not take compressed will wait (install kuva-gateway[decoding], or set decompress: false)"
        for one in configuration.destinations
        if one.decompress and missing
    ]


def _no_program(configuration: Configuration) -> list[Problem]:
    """An alert must not be the moment at which its command turns out not to be there."""
    command = configuration.alerts.command
    if command is None or (Path(command[0]).is_file() and os.access(command[0], os.X_OK)):
        return []
    return [Problem(line=None, key="alerts.command", message=f"{command[0]} is no program that can be run")]


def _no_upstream(configuration: Configuration) -> list[Problem]:
    """An archive that cannot be called would look to every asker like one that has nothing."""
    own, key = configuration.query, "query.upstream"
    name = own.upstream
    if name is None and own.fetch_ae_title is not None:
        why = "there is no query.upstream to fetch from"
        return [Problem(line=None, key="query.fetch_ae_title", message=why)]
    if name is None:
        return []
    if own.upstream_timeout <= 0:
        return [Problem(line=None, key="query.upstream_timeout", message="expected more than nothing")]
    peer = configuration.peer(name)
    if own.fetch_ae_title in _titles(configuration):
        why = "somebody else has this AE title: it must be used for nothing else"
        return [Problem(line=None, key="query.fetch_ae_title", message=why)]
    if configuration.destination(name) is not None or (peer is not None and peer.host and peer.port):
        return []
    why = f"there is no destination or peer {name}" if peer is None else f"the peer {name} has no host and port"
    return [Problem(line=None, key=key, message=why)]


def _titles(configuration: Configuration) -> set[str]:
    """Every AE title by which somebody is called or calls."""
    found = {configuration.ae_title, *(peer.ae_title for peer in configuration.peers)}
    for one in configuration.destinations:
        found |= {one.ae_title, *one.calling_ae_titles.values()}
        found |= {one.calling_ae_title} if one.calling_ae_title is not None else set()
    return found


def _wrong_oids(configuration: Configuration) -> list[Problem]:
    """OIDs of producers and register keepers that are none of an organisation's would silently match nothing."""
    from kuva_gateway.clinical.identifiers import is_organisation_oid

    named = [("register_keepers", oid) for oid in configuration.register_keepers]
    for destination in configuration.destinations:
        named += [(f"destinations.{destination.name}.calling_ae_titles", oid) for oid in destination.calling_ae_titles]
    for peer in configuration.peers:
        named += [
            (f"peers.{peer.name}.{key}", oid)
            for key, oid in (("producer", peer.producer), ("register_keeper", peer.register_keeper))
            if oid is not None
        ]
    return [
        Problem(line=None, key=key, message="expected an OID under 1.2.246.10")
        for key, oid in named
        if not is_organisation_oid(oid)
    ]


def _unknown_peers(configuration: Configuration) -> list[Problem]:
    """Filters that name a peer which is not configured would silently take nothing."""
    known = {peer.name for peer in configuration.peers} | {IMPORTED}
    return [
        Problem(line=None, key=f"destinations.{one.name}.filter", message=f"there is no peer {name}")
        for one in configuration.destinations
        for name in sorted(one.filter.peers - known)
    ]


def _no_rule(rule: str) -> str:
    from kuva_gateway.validation.texts.elsewhere import ELSEWHERE

    return (
        "this rule has no findings and no severity (docs/rules.rst)" if rule in ELSEWHERE else "there is no such rule"
    )


def _unknown_classes(configuration: Configuration, known: set[str]) -> list[Problem]:
    """Filters that name a content class which the file lacks would silently take nothing."""
    return [
        Problem(line=None, key=f"destinations.{one.name}.filter", message=f"there is no content class {name}")
        for one in configuration.destinations
        for name in sorted(one.filter.content_classes - known)
    ]


def _mapping_problems(configuration: Configuration) -> list[Problem]:
    """Every fault in the peers' mapping files, with the file's line."""
    from kuva_gateway.clinical.code_mapping import CodeMappingError

    problems = []
    for peer in configuration.peers:
        try:
            code_mapping(configuration, peer)
        except CodeMappingError as error:
            for line, why in error.faults:
                place = f"{peer.code_mapping}" + (f", line {line}" if line else "")
                problems.append(Problem(line=None, key=f"peers.{peer.name}.code_mapping", message=f"{place}: {why}"))
    return problems


def unlisted_codes(configuration: Configuration, catalog: Catalog) -> list[str]:
    """A line for each code of a mapping file that the code list does not have."""
    from kuva_gateway.intake.code_mappings import unlisted

    return [
        f"peers.{peer.name}.code_mapping: {peer.code_mapping}, {line}"
        for peer in configuration.peers
        if (mapping := code_mapping(configuration, peer)) is not None
        for line in unlisted(catalog, mapping)
    ]
