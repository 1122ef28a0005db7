"""kuva_gateway: the DICOM gateway between a hospital and the national imaging archive.

One folder per word of the data path: association (``network``, ``scp``) -> ``spool`` -> ``catalog`` -> ``validation``
-> ``queue`` -> ``forward``. ``docs/flow.rst`` tells the life of one study through them.
"""

__version__ = "0.1.0"
