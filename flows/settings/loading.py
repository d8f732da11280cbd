"""Reads the settings from one TOML file, the environment and the command line.

Every key is also an environment variable `AFTERCALL_SECTION__KEY`. The command line overrides the environment, the
environment overrides the file (docs/reference.md, section 6).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as EnvironmentUnreadable

from aftercall.durations import format_duration
from aftercall.errors import UsageError
from flows.settings.calendar import Calendar
from flows.settings.contracts import ContractsSection
from flows.settings.evals import Eval
from flows.settings.golden import Golden
from flows.settings.sections import (
    Alias,
    Drift,
    Join,
    Kafka,
    Limits,
    Name,
    Privacy,
    Recovery,
    Retention,
    Routing,
    Section,
    Service,
    Snapshot,
)
from flows.settings.task_types import Task
from flows.settings.texts import Texts
from flows.settings.trust import Trust
from flows.settings.verdicts import Verdict

PREFIX = "AFTERCALL_"
DELIMITER = "__"


class SettingsError(UsageError):
    """A setting is wrong; one sentence with its place, the rule it breaks, its value and the remedy."""


class Settings(BaseSettings):
    """All settings, each with its default. `load` reads them."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        allow_inf_nan=False,
    )

    join: Join = Join()
    verdict: Verdict = Verdict()
    alias: Alias = Alias()
    task: dict[Name, Task] = {}
    drift: Drift = Drift()
    routing: Routing = Routing()
    trust: Trust = Trust()
    snapshot: Snapshot = Snapshot()
    retention: Retention = Retention()
    privacy: Privacy = Privacy()
    texts: Texts = Texts()
    contracts: ContractsSection = ContractsSection()
    kafka: Kafka = Kafka()
    recovery: Recovery = Recovery()
    limits: Limits = Limits()
    calendar: Calendar = Calendar()
    service: Service = Service()
    eval: Eval = Eval()
    golden: dict[Name, Golden] = {}

    @classmethod
    def settings_customise_sources(  # noqa: D102 - `load` merges the sources, so that errors can name a value's place
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    def horizon(self, task_type: str) -> timedelta:
        """How long outcomes count for calls of this task type."""
        own = self.task.get(task_type)
        return self.join.horizon if own is None or own.horizon is None else own.horizon

    def silence(self, task_type: str) -> Literal["success", "failure"] | None:
        """The verdict of a call on which nothing stands when it closes; none where sources are required."""
        own = self.task.get(task_type)
        if own is None or (self.verdict.require if own.require is None else own.require):
            return None
        return own.silence

    @property
    def longest_horizon(self) -> timedelta:
        """The longest horizon of any task type."""
        return max([self.join.horizon, *(task.horizon for task in self.task.values() if task.horizon is not None)])

    def forget_after(self, retention: Retention) -> dict[str, timedelta]:
        """By table, the age at which rows are dropped; for rows of a call it counts from the closing of the call."""
        held = self.longest_horizon + self.join.allowed_lateness
        ages = {name: getattr(retention, name) for name in Retention.model_fields}
        return {
            name: age + held if name in {"calls", "statements"} else age
            for name, age in ages.items()
            if age is not None
        }

    def planned_on_a_holiday(self) -> str | None:
        """The rule that planned work on a holiday breaks, by the clocks of its task types; None where none does.

        A holiday is compared with holidays, and planned work with nothing: an hour cannot be both.
        """
        if not self.calendar.planned:
            return None
        # Imported where it is needed: it loads the detectors.
        from flows.settings.zones import zone_of

        for work in self.calendar.planned:
            own = [task.timezone for name, task in self.task.items() if work.task in {None, name}]
            zones = {*own, *(() if work.task in self.task else ("UTC",))}
            for zone in sorted(zones):
                day = self.calendar.holiday_within(work, zone_of(zone))
                if day is not None:
                    return f"must not have planned work on a holiday; {work}, is on {day} ({zone})"
        return None

    def too_much_floor(self) -> str | None:
        """The rule that `routing.floor` breaks by the arms that a task type names; None where none does."""
        for name, task in sorted(self.task.items()):
            arms = task.named_arms()
            if self.routing.floor * len(arms) > 1:
                return (
                    f"floor {self.routing.floor:g} must leave at most 1 to all arms together; [task.{name}] allows "
                    f"{len(arms)}, which is {self.routing.floor * len(arms):g}"
                )
        return None

    def deciding(self) -> dict[str, Any]:
        """The settings that decide verdicts, as plain JSON values: stored with the state, compared at resume."""
        plain = self.model_dump(mode="json")
        # A source that only repeats the defaults changes no verdict.
        sources = {name: score.deciding() for name, score in sorted(self.verdict.source.items())}
        tasks = {name: task.deciding() for name, task in sorted(self.task.items())}
        aliases = {kind: names for kind, names in plain["alias"].items() if names}
        join = {key: plain["join"][key] for key in ("horizon", "allowed_lateness", "orphan_wait")}
        # Where they are set: runs that an earlier version began have no such settings.
        defaults = {key: field.default for key, field in Join.model_fields.items()}
        later = {
            key: plain["join"][key] for key in ("id_form", "session_wait") if getattr(self.join, key) != defaults[key]
        }
        required = {"require": self.verdict.require} if self.verdict.require else {}
        return {
            **({"alias": aliases} if aliases else {}),
            "join": join | later,
            "verdict": {
                "precedence": plain["verdict"]["precedence"],
                "source": {name: score for name, score in sources.items() if score},
                **required,
            },
            "task": {name: task for name, task in tasks.items() if task},
            **({"contracts": decided} if (decided := self.contracts.deciding()) else {}),
        }

    def effective(self) -> dict[str, Any]:
        """Every value in force, as plain JSON values, with secrets masked."""
        return {**self.model_dump(mode="json"), "kafka": self.kafka.shown()}


class _Place(NamedTuple):
    """One of the places that settings are read from."""

    name: str
    values: dict[str, Any]


def load(path: Path | None = None, **overrides: Mapping[str, Any]) -> Settings:
    """Read the settings: defaults, then the file, then the environment, then `overrides`.

    Args:
        path: the TOML file, or None.
        **overrides: sections with values from the command line, such as `join={"horizon": "14d"}`; a None value means
            that the option was not given.

    Raises:
        SettingsError: a place cannot be read, or a value breaks a rule.
    """
    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in overrides.items()
    }
    places = [_Place("command line", given), _Place("environment", _environment())]
    if path is not None:
        places.append(_Place(str(path), _toml(path)))
    merged: dict[str, Any] = {}
    for place in reversed(places):
        merged = _merged(merged, place.values)
    try:
        settings = Settings(**merged)
    except ValidationError as refused:
        raise SettingsError(_sentence(refused.errors(include_url=False)[0], places)) from None
    clash = settings.planned_on_a_holiday()
    if clash is not None:
        place = next(place for place in places if _holds(place.values, ["calendar", "planned"])).name
        raise SettingsError(f"{place}: [calendar] {clash} (take the holiday out, or plan another day)")
    floors = settings.too_much_floor()
    if floors is not None:
        place = next((place for place in places if _holds(place.values, ["routing", "floor"])), places[-1]).name
        raise SettingsError(f"{place}: routing.{floors} (lower it, or allow fewer)")
    return settings


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        message = f"{path}: the settings cannot be read: {wrong.strerror} (give --config a TOML file)"
    except UnicodeDecodeError:
        message = f"{path}: the settings must be UTF-8 text (save the file as such)"
    except tomllib.TOMLDecodeError as wrong:
        message = f"{path}: the settings must be TOML: {wrong} (correct that line)"
    raise SettingsError(message)


def _environment() -> dict[str, Any]:
    for name in sorted(os.environ):
        section, delimiter, _ = name.upper().removeprefix(PREFIX).partition(DELIMITER)
        if name.upper().startswith(PREFIX) and delimiter and section.lower() not in Settings.model_fields:
            sections = ", ".join(Settings.model_fields)
            raise SettingsError(
                f"environment: {name} names no section of the settings (unset it, or name one of {sections})"
            )
    try:
        source = EnvSettingsSource(Settings)
        source.env_vars = {name: value for name, value in source.env_vars.items() if not _is_of_producers(name, value)}
        return dict(source())
    except EnvironmentUnreadable as wrong:
        message = f"environment: {wrong} (a whole section in one variable is written as JSON)"
    raise SettingsError(message)


def _is_of_producers(name: str, value: str | None) -> bool:
    """Whether this is the variable that names the brokers to the SDK, whose environment the pipeline may share."""
    return name.upper() == f"{PREFIX}KAFKA" and not (value or "").lstrip().startswith("{")


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(low)
    for key, value in high.items():
        below = both.get(key)
        both[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def _sentence(error: ErrorDetails, places: list[_Place]) -> str:
    path = _keys(error["loc"], places)
    dotted = ".".join(path)
    place = next((place for place in places if _holds(place.values, path)), places[-1]).name
    if place == "environment":
        place = f"environment variable {PREFIX}{DELIMITER.join(path).upper()}"
    if error["type"] == "extra_forbidden":
        return f"{place}: {dotted} is no setting ({_instead(path)})"
    rule = error["msg"].removeprefix("Value error, ").replace("Input should", "must").replace("String should", "must")
    if error["type"] in {"model_type", "dict_type", "model_attributes_type"}:
        rule = "must be a table"
    if isinstance(error["input"], Mapping | Section):  # a rule over several keys
        return f"{place}: [{dotted}] {rule} (correct one of its keys)"
    # A value for the broker's client may be a password.
    value = "a value that is not shown" if path[:1] == ["kafka"] else repr(error["input"])
    return f"{place}: {dotted} {rule}; got {value} ({_remedy(path)})"


def _keys(loc: tuple[int | str, ...], places: list[_Place]) -> list[str]:
    """The keys as the user wrote them, without the list positions, `[key]` and union branches that pydantic adds."""
    keys = [str(key) for key in loc]
    while keys and not any(_holds(place.values, keys) for place in places):
        keys.pop()
    return keys


def _holds(values: object, path: list[str]) -> bool:
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return False
        values = values[key]
    return True


def _section(path: list[str]) -> type[BaseSettings | Section] | None:
    """The class that holds the last key of `path`."""
    holder: Any = Settings
    for key in path[:-1]:
        field = getattr(holder, "model_fields", {}).get(key)
        if field is not None:
            holder = field.annotation
        elif getattr(holder, "__origin__", None) is dict:
            holder = holder.__args__[1]
        else:
            return None
    return holder if isinstance(holder, type) and issubclass(holder, BaseSettings | Section) else None


def _instead(path: list[str]) -> str:
    holder = _section(path)
    keys = [] if holder is None else list(holder.model_fields)
    close = get_close_matches(path[-1], keys, n=1)
    return f"did you mean {close[0]}?" if close else f"remove it, or use one of {', '.join(keys)}"


def _remedy(path: list[str]) -> str:
    holder = _section(path)
    field = None if holder is None else holder.model_fields.get(path[-1])
    default = None if field is None else field.default
    if isinstance(default, timedelta):
        default = format_duration(default)
    if isinstance(default, str | int | float):
        return f"correct it, or leave it out for the default {default!r}"
    return "correct it or leave it out"
