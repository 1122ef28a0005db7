"""An example of each command's use, shown by ``--help`` and on the manual page."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_BY: Final = "--by anna.virtanen"
_STUDY: Final = "1.2.246.10.99999984.17.1"

EXAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "run": "run --config /etc/kuva-gateway/kuva-gateway.yaml",
        "config check": "config check --config new.yaml",
        "config show": "config show --json",
        "config reload": "config reload",
        "codes import": "codes import toimenpideluokitus.xls --strict",
        "codes show": "codes show AA1AD",
        "documents import": "documents import pyynto.xml merkinta.xml",
        "documents list": "documents list --json",
        "documents show": "documents show 1.2.246.10.99999984.11.2026.7",
        "documents invalidate": f'documents invalidate 1.2.246.10.99999984.11.2026.7 {_BY} --reason "wrong patient"',
        "documents explain": "documents explain pyynto.xml",
        "authorizations import": "authorizations import valtuutus.xml",
        "authorizations list": "authorizations list",
        "authorizations invalidate": f'authorizations invalidate 1.2.246.10.99999984.93.2026.1 {_BY} --reason "ended"',
        "providers list": "providers list",
        "providers set": "providers set HUS-yhtymä --oid 1.2.246.10.15675350",
        "providers add": "providers add 'Uusi Klinikka Oy' --joined 2026-12-01 --sector private",
        "studies list": "studies list --state held --since 2h",
        "studies show": f"studies show {_STUDY}",
        "studies trace": f"studies trace {_STUDY}",
        "studies release": f'studies release {_STUDY} {_BY} --reason "the request is on paper"',
        "studies reject": f'studies reject {_STUDY} {_BY} --reason "a test phantom"',
        "studies remove": f'studies remove {_STUDY} {_BY} --reason "rejected a month ago"',
        "studies amend": f'studies amend {_STUDY} --set AccessionNumber=@number.txt {_BY} --reason "typed wrongly"',
        "studies recheck": "studies recheck --all",
        "studies dismiss": f'studies dismiss {_STUDY} {_BY} --reason "sent by mistake"',
        "studies withdraw": f'studies withdraw {_STUDY} --why safety {_BY} --reason "wrong patient"',
        "patients link": f'patients link @ids.txt {_BY} --reason "identity confirmed"',
        "queue list": "queue list --destination national-archive --state failed",
        "queue retry": f'queue retry 17 18 {_BY} --reason "the archive was mended"',
        "queue hold": f"queue hold --all {_BY}",
        "queue release": f"queue release --all {_BY}",
        "queue cancel": f'queue cancel 17 {_BY} --reason "sent by another way"',
        "queue prioritise": f"queue prioritise 17 {_BY}",
        "peers list": "peers list",
        "peers echo": "peers echo national-archive",
        "peers commitments": "peers commitments --peer ct1 --waiting",
        "check": "check /mnt/export --peer ct1",
        "receive": "receive /mnt/export --rate 20 --peer ct1",
        "spool verify": "spool verify",
        "catalog rebuild": "catalog rebuild",
        "backup": "backup /mnt/backup/kuva",
        "restore": "restore /mnt/backup/kuva",
        "audit list": "audit list --event alert --since 1d",
        "audit verify": "audit verify",
        "stats": "stats --check",
        "web": "web",
        "doctor": "doctor --no-calls",
    }
)
"""By the command's words, without the program's name."""
