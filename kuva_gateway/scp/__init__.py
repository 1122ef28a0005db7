"""What peers may ask of the gateway: who comes in (``policy``), and the services (``echo``, ``store``, ``commitment``).

``dispatch`` gives them to the network as one. Nothing here knows the catalog's tables or the queue: what is received
goes to the spool and to callables that the daemon passes down.
"""
