"""From what people wrote down to values for each setting: which name counts, where it came from, what is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from nadia.errors import NadiaError
from nadia.redaction import MASK
from nadia.settings.errors import Problem
from nadia.settings.names import PREFIX, RETIRED, SWITCHES, Setting, accepts
from nadia.settings.sources import Given, Source, read_secret_file


@dataclass(slots=True)
class Binding:
    """What the sources say about the settings.

    Attributes
    ----------
    given : dict of str to Given
        By the setting's dotted path; those that nobody gave are absent.
    problems : list of Problem
        Everything found wrong so far.
    deprecations : list of str
        One sentence for each older name that was met.
    """

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    deprecations: list[str] = field(default_factory=list)


def bind(settings: Sequence[Setting], sources: Sequence[Source]) -> Binding:
    """Find each setting's value.

    Parameters
    ----------
    settings : sequence of Setting
        Every setting there is.
    sources : sequence of Source
        Strongest first: a source that mentions a setting, under whichever name, decides it. An empty value means the
        default, so that an empty variable undoes a line of `.env`.
    """
    binding = Binding()
    for setting in settings:
        for source in sources:
            if _bind_from(setting, source, binding):
                break
    known = _known_names(settings)
    for source in sources:
        binding.deprecations += [
            f"{name} ({source[name].origin}) is ignored: {remedy}" for name, remedy in RETIRED.items() if name in source
        ]
        binding.problems += [
            _unknown(given, known, settings)
            for name, given in source.items()
            if name.startswith(PREFIX) and name not in known
        ]
    return binding


def validate_section(
    model: type[BaseModel], settings: Iterable[Setting], given: Mapping[str, Given]
) -> tuple[BaseModel | None, list[Problem]]:
    """Build one section from what was given for it.

    Returns
    -------
    section : BaseModel or None
        None when there are problems.
    problems : list of Problem
        One for each value that was refused.
    """
    by_field = {setting.field: setting for setting in settings}
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for setting in by_field.values():
        if (value := given.get(setting.path)) is None:
            continue
        try:
            values[setting.field] = setting.read(value.value)
        except (ValueError, RuntimeError):
            problems.append(_refused(setting, value))
    if not values and not problems:
        # Defaults are not validated anyway, and pydantic takes its time to get ready for what nobody gives.
        return model.model_construct(), []
    try:
        section = model.model_validate(values)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            setting_or_none = by_field.get(str(error["loc"][0])) if error["loc"] else None
            reason = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
            # Of patterns and lengths pydantic says more than the setting's type does.
            own_words = error["type"].startswith(("value_error", "assertion_error", "string_", "too_"))
            problems.append(_explain(setting_or_none, given, by_field, reason=reason, own_words=own_words))
    except NadiaError as exc:
        name = " / ".join(setting.name for setting in by_field.values() if setting.path in given)
        problems.append(Problem(name, exc.message, exc.hint or "correct one of them"))
    else:
        return (section if not problems else None), problems
    return None, problems


def _bind_from(setting: Setting, source: Source, binding: Binding) -> bool:
    """Take the setting's value from one source; return whether that source mentions it."""
    current = [setting.name, *setting.plain]
    files = [f"{name}_FILE" for name in current] if setting.is_secret else []
    mentioned = [source[name] for name in (*current, *files) if name in source]
    older = [source[name] for name in setting.legacy if name in source]
    binding.deprecations += [
        f"{given.name} ({given.origin}) is an older name: write {setting.name}"
        + (f"; it is ignored, because {mentioned[0].name} is set" if mentioned else "")
        for given in older
    ]
    filled = [given for given in mentioned or older[:1] if given.value]
    if len(filled) > 1 and (len({given.value for given in filled}) > 1 or any(g.name in files for g in filled)):
        names = " and ".join(given.name for given in filled)
        problem = Problem(names, "they say the same thing in different ways", "keep one of them", filled[0].origin)
        binding.problems.append(problem)
    elif filled:
        value = read_secret_file(filled[0]) if filled[0].name in files else filled[0]
        if isinstance(value, Problem):
            binding.problems.append(value)
        else:
            binding.given[setting.path] = value
    return bool(mentioned or older)


def _known_names(settings: Iterable[Setting]) -> frozenset[str]:
    names = set(SWITCHES)
    for setting in settings:
        names |= {setting.name, *setting.plain, *setting.legacy}
        if setting.is_secret:
            names |= {f"{name}_FILE" for name in (setting.name, *setting.plain)}
    return frozenset(names)


def _unknown(given: Given, known: frozenset[str], settings: Iterable[Setting]) -> Problem:
    target = given.name.removesuffix("_FILE")
    if target != given.name and any(target == setting.name for setting in settings):
        return Problem(given.name, "only secrets are read from files", f"set {target} itself", given.origin)
    import difflib

    nearest = difflib.get_close_matches(given.name, sorted(known), n=1)
    remedy = f"did you mean {nearest[0]}?" if nearest else "`nadia config show` lists the names there are"
    return Problem(given.name, "there is no such setting", remedy, given.origin)


def _explain(
    setting: Setting | None,
    given: Mapping[str, Given],
    fields: Mapping[str, Setting],
    *,
    reason: str,
    own_words: bool,
) -> Problem:
    if setting is None:  # a rule about several fields of the section
        named = [given[item.path].name for item in fields.values() if item.path in given]
        return Problem(" / ".join(named) or next(iter(fields.values())).name, reason, "correct one of them")
    value = given.get(setting.path)
    if value is None:
        return Problem(setting.name, f"it must be set: {accepts(setting)}", setting.description)
    if own_words:
        shown = reason.replace(value.value, MASK) if setting.is_secret else reason
        return Problem(value.name, shown, f"what it is: {setting.description}", value.origin)
    return _refused(setting, value)


def _refused(setting: Setting, value: Given) -> Problem:
    shown = "its value" if setting.is_secret else repr(value.value[:80])
    example = f"for example {setting.name}={setting.default_text}" if setting.default_text else setting.description
    return Problem(value.name, f"{shown} is not {accepts(setting)}", example, value.origin)
