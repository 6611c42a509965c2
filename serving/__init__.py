"""The HTTP service around ``cough.Screener``. Needs the ``serve`` extra."""
