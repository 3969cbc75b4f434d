"""What needs a person: told once when it begins and once when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from mome_node.catalog.catalog import Catalog
from mome_node.errors import CatalogError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something to keep an eye on: ``fault`` says what is wrong, or None. Names: 20 characters."""

    name: str
    fault: Callable[[], str | None]


class Alarms:
    """Looks at conditions; keeps an alarm in the log and the catalogue while one has a fault.

    An alarm of an earlier run goes on, or ends, with the first look.
    """

    def __init__(
        self, catalog: Catalog, clock: Callable[[], datetime], *conditions: Condition
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._conditions = conditions
        self._logged: dict[str, bool] = {}
        self._recorded: dict[str, bool] = {}

    def look(self) -> None:
        """Look at every condition once; one that cannot be looked at is told and hides no other."""
        for condition in self._conditions:
            try:
                fault = condition.fault()
            except OSError as error:
                fault = f"cannot be looked at: {error.strerror}"
            except CatalogError as error:
                fault = f"cannot be looked at: {error}"
            try:
                self._tell(condition.name, fault)
            except CatalogError as error:  # the next look tries again
                log.warning("an alarm is not kept", alarm=condition.name, why=str(error))

    def _tell(self, name: str, fault: str | None) -> None:
        if bool(fault) != self._logged.get(name, False):
            if fault:
                log.error("alarm", alarm=name, cause=fault)
            else:
                log.warning("alarm over", alarm=name)
            self._logged[name] = bool(fault)
        if bool(fault) != self._recorded.get(name):
            if fault:
                self._catalog.begin_alarm(name, fault, self._clock())
            else:
                self._catalog.end_alarm(name)
            self._recorded[name] = bool(fault)
