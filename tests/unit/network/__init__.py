"""The upper layer beside DCMTK, pynetdicom and hand-written peers that break the rules."""
