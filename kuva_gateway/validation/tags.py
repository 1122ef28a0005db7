"""The attributes that findings point at, as a person looks them up: keyword and tag (PS3.6)."""

from __future__ import annotations

from typing import Final

TRANSFER_SYNTAX: Final = "TransferSyntaxUID (0002,0010)"
SOP_CLASS: Final = "SOPClassUID (0008,0016)"
SOP_INSTANCE: Final = "SOPInstanceUID (0008,0018)"
STUDY_DATE: Final = "StudyDate (0008,0020)"
MODALITY: Final = "Modality (0008,0060)"
ACCESSION_NUMBER: Final = "AccessionNumber (0008,0050)"
INSTITUTION_CODE: Final = "InstitutionCodeSequence (0008,0082)"
ACCESSION_ISSUER: Final = "IssuerOfAccessionNumberSequence (0008,0051)"
STUDY_DESCRIPTION: Final = "StudyDescription (0008,1030)"
PROCEDURE_CODE: Final = "ProcedureCodeSequence (0008,1032)"
PATIENT_ID: Final = "PatientID (0010,0020)"
ISSUER: Final = "IssuerOfPatientID (0010,0021)"
BIRTH_DATE: Final = "PatientBirthDate (0010,0030)"
SEX: Final = "PatientSex (0010,0040)"
STUDY: Final = "StudyInstanceUID (0020,000D)"
SERIES: Final = "SeriesInstanceUID (0020,000E)"
MIME_TYPE: Final = "MIMETypeOfEncapsulatedDocument (0042,0012)"
DOCUMENT: Final = "EncapsulatedDocument (0042,0011)"
WAVEFORM: Final = "WaveformSequence (5400,0100)"
REQUESTED_CODE: Final = "RequestedProcedureCodeSequence (0032,1064)"


def keyword(where: str) -> str:
    """The keyword alone."""
    return where.partition(" ")[0]
