"""The gateway's parts as the configuration wants them, for the daemon and for commands alike.

Keeps nothing; every function makes something new from a checked configuration. Network, rules and catalog are imported
where they are used: a command that only looks into the catalog starts without the network, a receiving process without
the catalog.
"""

from kuva_gateway.parts.auditing import (
    audit_collector,
    audit_folder,
    audit_source,
    audit_undelivered,
    audit_writer,
    tell_audit,
)
from kuva_gateway.parts.calling import (
    call_peer,
    calling_depends_on,
    client_tls,
    echo_target,
    limits,
    make_callee,
    server_tls,
    timers,
)
from kuva_gateway.parts.checking import check_configuration, unlisted_codes
from kuva_gateway.parts.expiring import certificates, overdue_after
from kuva_gateway.parts.judging import (
    code_mapping,
    content_classes,
    destination_plans,
    judged_by,
    make_amender,
    make_immediate,
    make_judge,
    make_keeper_of,
    make_may_see,
    make_note,
    make_parties_of,
    make_senders,
    make_today,
    practice,
    rejecters,
)
from kuva_gateway.parts.outside import outside_files
from kuva_gateway.parts.state import (
    CATALOG_FILE,
    RESTORING,
    accepted_authorizations,
    accepted_documents,
    catalog_path,
    document_profile,
    make_state_directory,
    open_catalog,
    open_journal,
    open_spool,
    tell_journal,
)

__all__ = [
    "CATALOG_FILE",
    "RESTORING",
    "accepted_authorizations",
    "accepted_documents",
    "audit_collector",
    "audit_folder",
    "audit_source",
    "audit_undelivered",
    "audit_writer",
    "call_peer",
    "calling_depends_on",
    "catalog_path",
    "certificates",
    "check_configuration",
    "client_tls",
    "code_mapping",
    "content_classes",
    "destination_plans",
    "document_profile",
    "echo_target",
    "judged_by",
    "limits",
    "make_amender",
    "make_callee",
    "make_immediate",
    "make_judge",
    "make_keeper_of",
    "make_may_see",
    "make_note",
    "make_parties_of",
    "make_senders",
    "make_state_directory",
    "make_today",
    "open_catalog",
    "open_journal",
    "open_spool",
    "outside_files",
    "overdue_after",
    "practice",
    "rejecters",
    "server_tls",
    "tell_audit",
    "tell_journal",
    "timers",
    "unlisted_codes",
]
