"""JSON out, around payloads and states that are JSON text already."""

from collections.abc import Callable, Iterable
from json import JSONEncoder

from . import answers
from .answers import Response

string: Callable[[str], str] = JSONEncoder(ensure_ascii=False).encode


def array(items: Iterable[str]) -> Response:
    """Answer with these jobs, or that there are none."""
    text = ",".join(items)
    return answers.json(f"[{text}]") if text else answers.empty(204)
