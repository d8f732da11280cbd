"""Settings of local time: zones, holidays from dates or a file, planned work; what is wrong ends in a sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from aftercall.times import DAY_US, HOUR_US, parse_time
from flows.settings.calendar import muted
from flows.settings.for_models import drift_settings
from flows.settings.loading import SettingsError, load
from models.drift import Planned, Zone

ICS = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//company//holidays//EN\r
BEGIN:VEVENT\r
UID:1\r
SUMMARY:Company retreat\\, all of
 us\r
DTSTART;VALUE=DATE:20260511\r
DTEND;VALUE=DATE:20260513\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:2\r
SUMMARY:Christmas\r
DTSTART;VALUE=DATE:20241225\r
RRULE:FREQ=YEARLY;COUNT=3\r
END:VEVENT\r
END:VCALENDAR\r
"""
BERLIN = '[task.support]\ntimezone = "Europe/Berlin"\n'
PLANNED = "[[calendar.planned]]\nfrom = 2026-05-11T08:00:00Z\nto = 2026-05-11T20:00:00Z\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "aftercall.toml"
    path.write_text(text, encoding="utf-8")
    return path


def days(folder: Path, text: str) -> list[date]:
    return load(written(folder, text)).calendar.holidays


def test_by_default_every_task_type_is_in_utc_and_every_day_like_others() -> None:
    calendar = drift_settings(load(None)).calendar
    assert calendar.plain
    assert not drift_settings(load(None, task={"a": {"value": 1}})).calendar.zones


def test_a_zone_has_the_hours_of_its_clocks(tmp_path: Path) -> None:
    zone = drift_settings(load(written(tmp_path, BERLIN))).calendar.zones["support"]
    for text, offset in (
        ("2026-10-25T00:59:59Z", 2),
        ("2026-10-25T01:00:00Z", 1),
        ("2027-03-28T00:59:59Z", 1),
        ("2027-03-28T01:00:00Z", 2),
    ):
        assert zone.offset(parse_time(text) // HOUR_US) == offset


def test_a_zone_that_is_half_an_hour_off_is_rounded_down(tmp_path: Path) -> None:
    text = '[task.support]\ntimezone = "Asia/Kolkata"\n'
    assert drift_settings(load(written(tmp_path, text))).calendar.zones["support"] == Zone(
        (parse_time("2000-01-01T00:00:00Z") // HOUR_US,), (5,)
    )


def test_holidays_are_dates_or_those_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [date(2026, 1, 1), date(2026, 12, 25)]
    assert days(tmp_path, "[calendar]\nholidays = [2026-12-25, 2026-01-01, 2026-12-25]\n") == listed
    assert days(tmp_path, '[calendar]\nholidays = ["2026-12-25", "2026-01-01"]\n') == listed
    monkeypatch.setenv("AFTERCALL_CALENDAR__HOLIDAYS", "2026-12-25, 2026-01-01")
    assert load(None).calendar.holidays == listed
    monkeypatch.delenv("AFTERCALL_CALENDAR__HOLIDAYS")
    pytest.importorskip("icalendar")
    (tmp_path / "company.ics").write_text(ICS, encoding="utf-8", newline="")
    assert days(tmp_path, f'[calendar]\nholidays = "{tmp_path / "company.ics"}"\n') == [
        date(2024, 12, 25),
        date(2025, 12, 25),
        date(2026, 5, 11),
        date(2026, 5, 12),
        date(2026, 12, 25),
    ]


def test_planned_work_is_of_a_task_type_or_of_all_and_is_told(tmp_path: Path) -> None:
    settings = load(written(tmp_path, PLANNED + PLANNED.replace("-11T", "-12T") + 'task = "support"\n'))
    begin = parse_time("2026-05-11T08:00:00Z")
    first = Planned(begin, begin + 12 * HOUR_US)
    assert drift_settings(settings).calendar.planned == (
        first,
        Planned(first.begin + DAY_US, first.end + DAY_US, "support"),
    )
    muting = "calls and outcomes are not missed while work is planned:"
    assert muted(settings.calendar) == [
        f"{muting} all task types, 2026-05-11 08:00 to 2026-05-11 20:00 UTC",
        f"{muting} task type 'support', 2026-05-12 08:00 to 2026-05-12 20:00 UTC",
    ]
    assert load(None, calendar=settings.effective()["calendar"]).calendar == settings.calendar


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[task.a]\ntimezone = "Europe/Bern"\n', ("task.a.timezone must be a time zone", "'Europe/Bern'")),
        ('[task.a]\ntimezone = "../etc/passwd"\n', ("task.a.timezone must be a time zone",)),
        (
            '[calendar]\nholidays = "absent.ics"\n',
            ("holidays must be dates, or an .ics file that can be read",),
        ),
        ('[calendar]\nholidays = "25 December"\n', ("calendar.holidays",)),
        ("[calendar]\nholidays = [2026-02-30]\n", ("must be TOML",)),
        (PLANNED.replace("20:00:00Z", "07:00:00Z"), ("[calendar.planned] must have a 'to' after its 'from'",)),
        (PLANNED.replace("20:00:00Z", "20:00:00"), ("calendar.planned", "timezone")),
        (PLANNED + PLANNED, ("[calendar] must not have planned work that overlaps",)),
        (
            PLANNED + "[calendar]\nholidays = [2026-05-11]\n",
            ("must not have planned work on a holiday", "2026-05-11"),
        ),
    ],
)
def test_what_is_wrong_ends_in_a_sentence(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    if text.endswith("holidays = [2026-05-11]\n"):
        text = "calendar.holidays = [2026-05-11]\n" + PLANNED
    with pytest.raises(SettingsError) as refused:
        load(written(tmp_path, text))
    sentence = str(refused.value)
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("no calendar at all", "it"),
        ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "it has no events"),
        (ICS.replace("FREQ=YEARLY", "FREQ=WEEKLY"), "'Christmas' repeats itself, and not yearly"),
        (ICS.replace("DTSTART;VALUE=DATE:20241225", "DTSTART:20241225T080000Z"), "'Christmas' is no whole day"),
    ],
)
def test_a_file_that_has_no_whole_days_is_refused_with_what_is_wrong(tmp_path: Path, text: str, part: str) -> None:
    pytest.importorskip("icalendar")
    (tmp_path / "company.ics").write_text(text, encoding="utf-8", newline="")
    with pytest.raises(SettingsError) as refused:
        load(written(tmp_path, f'[calendar]\nholidays = "{tmp_path / "company.ics"}"\n'))
    assert "calendar.holidays must be dates, or an .ics file with whole days" in str(refused.value)
    assert part in str(refused.value)


def test_a_holiday_of_another_zone_is_where_its_clocks_are(tmp_path: Path) -> None:
    """From 22 UTC on the next day has begun in Berlin, where it is no holiday any more."""
    work = '[[calendar.planned]]\nfrom = 2026-05-11T22:00:00Z\nto = 2026-05-11T23:00:00Z\ntask = "support"\n'
    text = "calendar.holidays = [2026-05-11]\n" + work
    load(written(tmp_path, text + BERLIN))
    with pytest.raises(SettingsError, match="on a holiday"):
        load(written(tmp_path, text))
