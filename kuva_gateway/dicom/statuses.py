"""DIMSE status codes: their names, what they mean, and which family they belong to.

Sources: PS3.7 Annex C (general), PS3.4 B.2.3 (storage), C.4 (query and retrieve), J (storage commitment). Codes
A770-A77B are those that dcm4chee-arc documents for itself.
"""

from __future__ import annotations

import unicodedata

SUCCESS = 0x0000
CANCELLED = 0xFE00
PENDING = 0xFF00
PENDING_WARNING = 0xFF01

REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001
ATTRIBUTE_LIST_ERROR = 0x0107
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
COERCION_OF_DATA_ELEMENTS = 0xB000
SUB_OPERATIONS_WITH_FAILURES = 0xB000
"""Of C-MOVE and C-GET (PS3.4 C.4.2.1.5); of C-STORE the same code is a coercion."""
ELEMENTS_DISCARDED = 0xB006
DATA_SET_DIFFERS_FROM_CLASS = 0xB007

NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
NO_SUCH_ARGUMENT = 0x0114
INVALID_ARGUMENT_VALUE = 0x0115
INVALID_INSTANCE = 0x0117
NO_SUCH_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
DUPLICATE_INVOCATION = 0x0210
UNRECOGNISED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213
DUPLICATE_TRANSACTION = 0x0131

OUT_OF_RESOURCES = 0xA700
OVER_LIMIT = 0xA710
"""Out of resources (A7xx) by the limits of a peer, and not of the machine; the last two digits are ours."""
CANNOT_COUNT_MATCHES = 0xA701
CANNOT_PERFORM_SUB_OPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
REJECTED_OBJECT = 0xA771
DATA_SET_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_MEANINGS: dict[int, str] = {
    SUCCESS: "success",
    REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: "requested optional attributes are not supported",
    NO_SUCH_ATTRIBUTE: "no such attribute",
    INVALID_ATTRIBUTE_VALUE: "invalid attribute value",
    ATTRIBUTE_LIST_ERROR: "attribute list error",
    PROCESSING_FAILURE: "processing failure",
    DUPLICATE_INSTANCE: "duplicate SOP instance",
    NO_SUCH_INSTANCE: "no such object instance",
    NO_SUCH_EVENT_TYPE: "no such event type",
    NO_SUCH_ARGUMENT: "no such argument",
    INVALID_ARGUMENT_VALUE: "invalid argument value",
    ATTRIBUTE_VALUE_OUT_OF_RANGE: "attribute value out of range",
    INVALID_INSTANCE: "invalid object instance",
    NO_SUCH_CLASS: "no such SOP class",
    CLASS_INSTANCE_CONFLICT: "class and instance conflict",
    MISSING_ATTRIBUTE: "missing attribute",
    MISSING_ATTRIBUTE_VALUE: "missing attribute value",
    CLASS_NOT_SUPPORTED: "SOP class not supported",
    NO_SUCH_ACTION: "no such action",
    NOT_AUTHORISED: "not authorised",
    DUPLICATE_TRANSACTION: "duplicate transaction UID",
    DUPLICATE_INVOCATION: "duplicate invocation",
    UNRECOGNISED_OPERATION: "unrecognised operation",
    MISTYPED_ARGUMENT: "mistyped argument",
    RESOURCE_LIMITATION: "resource limitation",
    OUT_OF_RESOURCES: "out of resources",
    OVER_LIMIT: "out of resources: more than this peer may send",
    CANNOT_COUNT_MATCHES: "out of resources: cannot count the matches",
    CANNOT_PERFORM_SUB_OPERATIONS: "out of resources: cannot perform sub-operations",
    0xA770: "duplicate rejection note",
    0xA771: "subsequent occurrence of a rejected object",
    0xA772: "rejection failed: no such instance",
    0xA773: "rejection failed: class and instance conflict",
    0xA774: "rejection failed: already rejected",
    0xA775: "rejection failed: retention period not yet expired",
    0xA776: "rejection failed: not authorised for retention expired",
    0xA777: "no patient ID from a trusted assigning authority",
    0xA778: "conflicting patient ID",
    0xA779: "conflicting patient attributes",
    0xA77A: "the study is being deleted",
    0xA77B: "the study or series differs for the same SOP instance",
    MOVE_DESTINATION_UNKNOWN: "move destination unknown",
    DATA_SET_MISMATCH: "data set does not match SOP class",
    COERCION_OF_DATA_ELEMENTS: "coercion of data elements",
    ELEMENTS_DISCARDED: "elements discarded",
    DATA_SET_DIFFERS_FROM_CLASS: "data set does not match SOP class (warning)",
    CANNOT_UNDERSTAND: "cannot understand",
    CANCELLED: "cancelled",
    PENDING: "pending",
    PENDING_WARNING: "pending; an optional key is not supported",
}

_GENERAL_WARNINGS = frozenset(
    {REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, ATTRIBUTE_LIST_ERROR, ATTRIBUTE_VALUE_OUT_OF_RANGE}
)
_FAMILIES: tuple[tuple[int, int, str], ...] = (
    (0xA700, 0xA7FF, "out of resources"),
    (0xA800, 0xA8FF, "move destination unknown"),
    (0xA900, 0xA9FF, "data set does not match SOP class"),
    (0xB000, 0xBFFF, "warning"),
    (0xC000, 0xCFFF, "cannot understand"),
)

COMMENT_LENGTH = 64
"""Characters of (0000,0902) Error Comment at most (VR LO)."""


def meaning(code: int) -> str:
    """What ``code`` says, in words; an unknown code is described by its family."""
    known = _MEANINGS.get(code)
    if known is not None:
        return known
    for first, last, words in _FAMILIES:
        if first <= code <= last:
            return words
    return f"unknown status {code:04X}H"


def is_success(code: int) -> bool:
    """Whether the operation succeeded without any reservation (0000)."""
    return code == SUCCESS


def is_pending(code: int) -> bool:
    """Whether more responses follow (FF00, FF01)."""
    return code in (PENDING, PENDING_WARNING)


def is_warning(code: int) -> bool:
    """Whether the operation succeeded with a reservation (PS3.7 C.3)."""
    return code in _GENERAL_WARNINGS or 0xB000 <= code <= 0xBFFF


def is_failure(code: int) -> bool:
    """Whether the operation failed; a cancelled one did not, and an unknown code did."""
    return not (is_success(code) or is_pending(code) or is_warning(code) or code == CANCELLED)


def comment(text: str) -> str:
    """``text`` made fit for (0000,0902) Error Comment (LO): at most 64 ASCII characters, no backslash, no control.

    Letters with marks lose the marks; other letters become question marks. Longer text ends in three dots.
    """
    plain = unicodedata.normalize("NFKD", text)
    ascii_only = "".join("?" if ord(letter) > 0x7E else letter for letter in plain if not unicodedata.combining(letter))
    printable = "".join(" " if ord(letter) < 0x20 else letter for letter in ascii_only.replace("\\", "/"))
    words = " ".join(printable.split())
    return words if len(words) <= COMMENT_LENGTH else words[: COMMENT_LENGTH - 3].rstrip() + "..."
