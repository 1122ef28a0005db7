"""The catalog: the spool's index, the states of studies and entries, and what people decided.

Each module is named by the noun that it answers questions about: ``studies``, ``documents``, ``codes``, ``entries``,
``commitments``, ``instances``, ``stats``. Every function takes the :class:`~kuva_gateway.catalog.database.Catalog`
first, is one transaction of its own (or joins the one that the caller has open), and raises ``CatalogUnavailableError``
when the database is away or locked. The spool is the truth, the catalog its index: all but people's decisions can be
made again.
"""
