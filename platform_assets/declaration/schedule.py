"""When something is looked at: a cron line in a time zone."""

from __future__ import annotations

from zoneinfo import available_timezones

from pydantic import field_validator

from platform_assets.declaration.cron import check_cron
from platform_assets.declaration.declared import Declared
from platform_assets.errors import UnknownName


class CronSchedule(Declared):
    """A cron line of five fields, read in a time zone."""

    cron: str = "0 6 * * *"
    time_zone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _cron_is_one(cls, line: str) -> str:
        return check_cron(line)

    @field_validator("time_zone")
    @classmethod
    def _time_zone_exists(cls, name: str) -> str:
        if name != "UTC" and name not in available_timezones():
            raise ValueError(str(UnknownName.among("time zone", name, available_timezones(), listed=0)))
        return name
