from typing import Literal

EnqueueMode = Literal["ignore", "replace", "unique"]

ENQUEUE_MODE_VALUES: set[EnqueueMode] = {
    "ignore",
    "replace",
    "unique",
}


def check_enqueue_mode(value: str) -> EnqueueMode:
    if value in ENQUEUE_MODE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {ENQUEUE_MODE_VALUES!r}")
