"""Logging: structured lines on standard error, without patient data."""

from __future__ import annotations

import logging
import sys
import warnings

import structlog


def configure_logging(*, verbose: bool = False) -> None:
    """Log to standard error: readable lines on a terminal, one JSON object a line elsewhere."""
    # pydicom quotes element values in its warnings, and those may name a patient. Which module a
    # warning is laid at is up to the library: so none is shown.
    warnings.simplefilter("ignore")
    # Libraries' own loggers are not read for what they may quote.
    for name in ("", "pynetdicom", "pydicom", "highdicom", "apscheduler", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    on_terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        # Not the default traceback: it shows local variables.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if on_terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.INFO if verbose else logging.WARNING
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
