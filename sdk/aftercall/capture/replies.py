"""Reads the text of a reply by its shape, where the client captures texts."""

from __future__ import annotations

import json
from typing import Any, cast


def reply_text(reply: object) -> str | None:
    """The text of a response: of OpenAI, Anthropic and Google by shape, text itself, else JSON where it is plain."""
    if type(reply) in {str, type(None)}:  # not `isinstance`, which runs code of a foreign object
        return cast("str | None", reply) or None
    for read in (_of_choice, _of_output, _of_blocks):
        try:
            found = read(reply)
        except Exception:  # noqa: BLE001  # foreign objects may raise anything
            found = None
        if isinstance(found, str) and found:
            return found
    try:
        return json.dumps(reply, ensure_ascii=False)
    except Exception:  # noqa: BLE001  # as above; also what is nested too deep
        return None


def chunk_text(chunk: object) -> str:
    """What one chunk of a stream adds to the reply; empty where it is none of the known shapes."""
    if isinstance(chunk, str):
        return chunk
    for read in (_of_choice, _of_delta, _of_output):
        try:
            found = read(chunk)
        except Exception:  # noqa: BLE001  # foreign objects may raise anything
            found = None
        if isinstance(found, str):
            return found
    return ""


def _of_choice(reply: Any) -> Any:
    choice = _get(reply, "choices")[0]
    return _get(_get(choice, "message") or _get(choice, "delta"), "content")


def _of_output(reply: Any) -> Any:
    found = _get(reply, "output_text")
    return found if isinstance(found, str) else _get(reply, "text")


def _of_blocks(reply: Any) -> Any:
    texts = [_get(block, "text") for block in _get(reply, "content")]
    return "".join(text for text in texts if isinstance(text, str))


def _of_delta(chunk: Any) -> Any:
    delta = _get(chunk, "delta")
    return delta if isinstance(delta, str) else _get(delta, "text")


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
