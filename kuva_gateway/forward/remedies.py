"""What a person can do about an outcome: one sentence for each, shown beside the failed entry."""

from __future__ import annotations

from kuva_gateway.forward.outcome import Kind, Outcome, Scope

_BY_CODE: dict[str, str] = {
    "0110": "The archive failed at it, again and again: ask its operators, with the time and the SOP Instance UID.",
    "0122": "The archive does not take this SOP class: agree with its operators, or cancel the entry.",
    "0124": "The archive does not let us store: check calling_ae_title and what was agreed with its operators.",
    "A700": "The archive has had no room for too long: ask its operators, then retry.",
    "A770": "The archive has this rejection note already: cancel the entry.",
    "A771": "The archive has rejected this object before: do not send it again; cancel the entry or ask its operators.",
    "A777": "Correct the patient's identifier or its issuer at the source, send the study again, or ask the archive.",
    "A778": "The archive knows the study under another patient: correct the identity at the source and send it again.",
    "A779": "Name, birth date or sex differ from what the archive has: correct them at the source and send it again.",
    "A77A": "The archive was deleting the study for too long: ask its operators, then retry.",
    "A77B": "The archive has this SOP Instance UID in another study or series: correct the UIDs at the source.",
    "A900": "The data set does not match its SOP class: have the modality's vendor look at it; send a correct one.",
    "context": "Ask the archive's operators to accept this SOP class in this transfer syntax, then retry.",
    "unreadable": "Run kuva-gateway spool verify; send the image again from its source.",
    "syntax": "Agree with the archive's operators on this transfer syntax, or send the image uncompressed; then retry.",
    "amendment": "Look at the study's amendments and at this instance: correct one of them, then retry.",
    "no-answer": "Look whether the archive has the instance, then retry or cancel.",
    "tls": "Check certificates, their dates, and tls.ca on both sides; then it goes on by itself.",
    "unreachable": "Check network, host, port and whether the archive runs; then it goes on by itself.",
    "refuses-all": "The archive refuses everything: ask its operators; it is tried again by itself. Retry what failed.",
}
_BY_SCOPE: dict[Scope, str] = {
    Scope.INSTANCE: "Correct the instance at its source and send it again, or ask the archive's operators; then retry.",
    Scope.STUDY: "Correct the study at its source and send it again, or ask the archive's operators; then retry.",
    Scope.SOP_CLASS: "Ask the archive's operators about this kind of object; then retry, or cancel the entry.",
    Scope.DESTINATION: "Check the destination's configuration and ask its operators; then it goes on by itself.",
}


def remedy(found: Outcome, *, gave_up: bool = False) -> str:
    """What to do about ``found``; "" for what is stored. ``gave_up``: it was tried for as long as it may."""
    if found.stored:
        return ""
    if found.kind in (Kind.TEMPORARY, Kind.UNKNOWN) and found.scope is not Scope.DESTINATION and not gave_up:
        return "Nothing yet: it is tried again by itself."
    if found.code.startswith("rejected-"):
        return "Check ae_title and calling_ae_title, and that the archive knows us; then it goes on by itself."
    if found.code in _BY_CODE:
        return _BY_CODE[found.code]
    if gave_up:
        return "It was tried for as long as it may (give_up_after): ask the archive's operators, then retry."
    return _BY_SCOPE[found.scope]
