"""The storage SOP classes of the standard, and the names of all of its SOP classes.

Promises that a class which was retired by the standard but is still in the field stays in :data:`STORAGE_CLASSES`.
"""

from __future__ import annotations

from kuva_gateway.dicom.registry import FURTHER_STORAGE, SOP_CLASSES, TRANSFER_SYNTAXES
from kuva_gateway.dicom.uids import MEDIA_STORAGE_DIRECTORY

NON_PATIENT_CLASSES: frozenset[str] = frozenset(
    {
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.39.1",  # Color Palette
        "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
        "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
        "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
        "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.200.3",  # Protocol Approval
        "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
    }
)
"""Storage classes of PS3.4 Annex GG, whose objects belong to no patient and no study."""


def _storage_classes() -> frozenset[str]:
    """Every storage SOP class that pynetdicom negotiates or pydicom's dictionary knows."""
    known = {uid for uid, title in SOP_CLASSES.items() if "Storage" in title and "Commitment" not in title}
    return (FURTHER_STORAGE | known | NON_PATIENT_CLASSES) - {MEDIA_STORAGE_DIRECTORY}


STORAGE_CLASSES: frozenset[str] = _storage_classes()
"""All storage SOP classes of the standard, retired ones and :data:`NON_PATIENT_CLASSES` included."""


def class_name(uid: str) -> str:
    """The standard's name of a SOP class (or other well-known UID), or the UID itself when nobody knows it."""
    return SOP_CLASSES.get(uid) or TRANSFER_SYNTAXES.get(uid, uid)
