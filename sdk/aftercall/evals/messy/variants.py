"""Makes the messy variants of a data set: seeded, each tagged, none in place of its original."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from random import Random
from typing import Any, Final

from aftercall.evals.case import MAX_CASE_ID, EvalCase
from aftercall.evals.messy.rules import MESSY
from aftercall.evals.messy.texts import text_of, with_text
from aftercall.evals.messy.words import ABOUT_ITSELF

TAG: Final = "messy"
OPEN: Final = "needs_expected"
"""The tag of variants whose expected answer a person must write."""


_Texts = Sequence[tuple[str, str]]
"""Id and text of each original that has a text."""


@dataclass(frozen=True)
class Messy:
    """What `messy_variants` made."""

    variants: tuple[EvalCase, ...]
    without: Mapping[str, int]
    """Of each rule, how many cases gave it nothing to change."""


def messy_variants(
    cases: Sequence[EvalCase], rules: Collection[str] = tuple(MESSY), seed: int = 0, vouched: Collection[str] = ()
) -> Messy:
    """One variant per case and rule, where the rule finds something to change; the same for the same seed.

    `expected` and `checks` are kept only where the change cannot alter them: where the rule changes the form alone,
    the case is not about the text itself, and no word of the answer was touched. Else they are left out, and the
    variant is tagged `needs_expected`. A draw depends on the seed, the case's id and the rule; the second question of
    `two_questions` also on the other cases. Cases tagged `messy` are no originals.

    Args:
        cases: a data set; none of its cases is changed.
        rules: names of `MESSY`.
        seed: of the draws.
        vouched: rules under which the caller knows that the answer stays: there it is kept in any case.

    >>> polite = EvalCase(id="a", input="Where is my parcel?", expected="At the depot")
    >>> [(one.id, one.input, one.expected) for one in messy_variants([polite], ["capitals"]).variants]
    [('a~capitals', 'WHERE IS MY PARCEL?', 'At the depot')]
    """
    originals = [case for case in cases if TAG not in case.tags]
    texts = [(case.id, text) for case in originals if (text := text_of(case.input)) is not None]
    taken = {case.id for case in cases}
    without = dict.fromkeys(rules, 0)
    made: list[EvalCase] = []
    for case in originals:
        for rule in rules:
            variant = _variant(case, rule, texts, seed, rule in vouched)
            if variant is None:
                without[rule] += 1
                continue
            made.append(replace(variant, id=_free(variant.id, taken)))
            taken.add(made[-1].id)
    return Messy(tuple(made), without)


def _variant(case: EvalCase, rule: str, texts: _Texts, seed: int, vouched: bool) -> EvalCase | None:  # noqa: FBT001
    draw = Random(_number(seed, case.id, rule))  # noqa: S311 - seeded, no secret
    changed = _input(case, rule, texts, draw)
    if changed is None:
        return None
    kept = vouched or (MESSY[rule].form_only and not _may_alter(case, changed))
    has_answer = case.expected is not None or bool(case.checks)
    tags = (*case.tags, TAG, rule) if kept or not has_answer else (*case.tags, TAG, rule, OPEN)
    return EvalCase(
        id=f"{case.id[: MAX_CASE_ID - len(rule) - 8]}~{rule}",
        input=changed,
        expected=case.expected if kept else None,
        checks=case.checks if kept else (),
        tags=tags,
        metadata={**case.metadata, "messy": {"of": case.id, "rule": rule, "seed": seed}},
    )


def _input(case: EvalCase, rule: str, texts: _Texts, draw: Random) -> Any:
    """The input of a variant; None where the rule finds nothing to change."""
    if rule == "missing_field" and isinstance(case.input, Mapping) and len(case.input) > 1:
        gone = draw.choice(sorted(map(str, case.input)))
        return {key: value for key, value in case.input.items() if str(key) != gone}
    text = text_of(case.input)
    if text is None:
        return None
    changed = MESSY[rule].change(text, _other(case.id, texts, draw), draw)
    return None if changed is None else with_text(case.input, changed)


def _other(case_id: str, texts: _Texts, draw: Random) -> str:
    """The text of another case; empty where there is none."""
    at = draw.randrange(len(texts))
    if texts[at][0] == case_id:
        at = (at + 1) % len(texts)
    return "" if texts[at][0] == case_id else texts[at][1]


def _may_alter(case: EvalCase, changed: Any) -> bool:
    """Whether the answer may hang on the form of the question."""
    before, after = text_of(case.input) or "", text_of(changed) or ""
    if ABOUT_ITSELF.search(before):
        return True
    touched = set(_words(before)) - set(_words(after))
    return before.lower() != after.lower() and not touched.isdisjoint(_answer_words(case))


def _answer_words(case: EvalCase) -> set[str]:
    return {word for text in _texts((case.expected, *case.checks)) for word in _words(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _words(text: str) -> list[str]:
    return ["".join(char for char in word if char.isalnum()).lower() for word in text.split()]


def _number(*parts: object) -> int:
    joined = "".join(f"{len(text)}:{text}" for text in map(str, parts))
    return int.from_bytes(blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _free(name: str, taken: Collection[str]) -> str:
    """The id, with a number where another case has it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
