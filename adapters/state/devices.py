"""Device authorizations under way, in SQL."""

from dataclasses import fields, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, select

from adapters.state.schema import devices
from adapters.state.sql_part import SqlPart, insert, prune
from identity.state import DeviceRequest, Poll

# RFC 8628, section 3.5, `slow_down`.
SLOWER_BY_S: Final = 5

_NAMES: Final = tuple(field.name for field in fields(DeviceRequest))


class SqlDevices(SqlPart):
    """See `identity.state.DeviceStore`."""

    def add_device(self, request: DeviceRequest) -> bool:
        """See `DeviceStore.add_device`; some that have expired are forgotten."""
        over = devices.c.expires_at <= request.created_at
        with self._database.transaction() as connection:
            prune(connection, devices.c.device_digest, over)
            # Nobody can enter the code of an expired request any more, so it is free.
            connection.execute(devices.delete().where(devices.c.user_code == request.user_code, over))
            values = {name: getattr(request, name) for name in _NAMES}
            adding = insert(connection, devices).values(values).on_conflict_do_nothing(index_elements=["user_code"])
            return connection.execute(adding.returning(devices.c.user_code)).first() is not None

    def device_by_user_code(self, user_code: str, now: int) -> DeviceRequest | None:
        """See `DeviceStore.device_by_user_code`."""
        with self._database.transaction() as connection:
            row = connection.execute(select(devices).where(*_pending(user_code, now))).first()
        return None if row is None else _request_of(row)

    def decide_device(self, user_code: str, now: int, grant_id: str | None) -> bool:
        """See `DeviceStore.decide_device`."""
        decision = {"status": "denied" if grant_id is None else "allowed", "grant_id": grant_id}
        with self._database.transaction() as connection:
            deciding = devices.update().where(*_pending(user_code, now)).values(decision)
            return connection.execute(deciding).rowcount == 1

    def poll_device(self, digest: bytes, now: float) -> Poll | None:
        """See `DeviceStore.poll_device`; a decision is given even to a poll that came too soon."""
        this = devices.c.device_digest == digest
        now_us = int(now * 1_000_000)
        with self._database.transaction() as connection:
            # Locked: of two polls at the same time one gets the decision, the other finds nothing.
            row = connection.execute(select(devices).where(this, devices.c.expires_at > now).with_for_update()).first()
            if row is None:
                return None
            request = _request_of(row)
            if request.status != "pending":
                connection.execute(devices.delete().where(this))
                return Poll(request, False)
            too_soon = row.polled_us is not None and now_us - row.polled_us < request.interval_s * 1_000_000
            if too_soon:
                request = replace(request, interval_s=request.interval_s + SLOWER_BY_S)
            polled = {"polled_us": now_us, "interval_s": request.interval_s}
            connection.execute(devices.update().where(this).values(polled))
            return Poll(request, too_soon)


def _pending(user_code: str, now: int) -> tuple[ColumnElement[bool], ...]:
    return devices.c.user_code == user_code, devices.c.status == "pending", devices.c.expires_at > now


def _request_of(row: Row[Any]) -> DeviceRequest:
    return DeviceRequest(**{name: getattr(row, name) for name in _NAMES})
