"""What may be wrong with an installation, looked at from outside: whoever asks reads what to do.

Flow: :func:`examine` hands a :class:`Subject` to each examination, and yields what they found.
Promises to change nothing that lasts (what it tries out on the disk it removes), to go on when one examination fails,
and to show no patient data.
"""

from kuva_gateway.doctor.examination import examine
from kuva_gateway.doctor.findings import Diagnosis, Level, Subject

__all__ = ["Diagnosis", "Level", "Subject", "examine"]
