"""The public names of the package, and the cost of importing it."""

import ast
import importlib
import inspect
import logging
import pkgutil
import re
import subprocess
import sys
import typing
from collections.abc import Iterator

import httpx
import pytest

import relay_sdk
from relay_sdk.testing import Clock


def test_the_public_names_exist_and_are_sorted() -> None:
    assert relay_sdk.__all__ == sorted(relay_sdk.__all__)
    assert len(set(relay_sdk.__all__)) == len(relay_sdk.__all__)
    aliases = {
        "ApiChoice",
        "AsyncErrorHandler",
        "EnqueueMode",
        "Event",
        "MissedRuns",
        "ErrorHandler",
    }
    for name in set(relay_sdk.__all__) - aliases:
        assert getattr(relay_sdk, name).__module__.startswith("relay_sdk")


def test_every_error_is_public() -> None:
    errors = importlib.import_module("relay_sdk.exceptions")
    for name, value in vars(errors).items():
        if inspect.isclass(value) and not name.startswith("_"):
            assert issubclass(value, relay_sdk.RelayError)
            assert name in relay_sdk.__all__


def callables() -> Iterator[tuple[str, object]]:
    """Yield every public function and method."""
    for name in relay_sdk.__all__:
        value = getattr(relay_sdk, name)
        if not inspect.isclass(value):
            continue
        for method, function in inspect.getmembers(value, callable):
            if method == "__init__" or not method.startswith("_"):
                yield f"{name}.{method}", function


def signatures(cls: ast.ClassDef) -> Iterator[str]:
    """Yield the annotations of the public fields and methods of a class."""
    for part in cls.body:
        if isinstance(part, ast.AnnAssign) and not ast.unparse(part.target).startswith("_"):
            yield ast.unparse(part.annotation)
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and (
            part.name == "__init__" or not part.name.startswith("_")
        ):
            given = [*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs]
            yield from (ast.unparse(each.annotation) for each in given if each.annotation)
            if part.returns:
                yield ast.unparse(part.returns)


def made_here(module: ast.Module) -> Iterator[str]:
    """Return the names in a module that this package defines."""
    for part in module.body:
        if isinstance(part, ast.ClassDef):
            yield part.name
        if isinstance(part, ast.AnnAssign):
            yield ast.unparse(part.target)
        if isinstance(part, ast.ImportFrom) and (part.module or "").startswith("relay_sdk"):
            yield from (name.name for name in part.names)


NOT_FOR_USERS = {"AsyncDriver", "Driver", "TaskRun", "ThreadRun"}
NOT_FOR_USERS |= {"Moment", "P", "R", "S", "P_co", "S_co"}
NOT_FOR_USERS |= {"Clock", "Int32", "ClientConfig", "HttpClient", "AsyncHttpClient"}
"""Private classes from which the SDK creates helpers; an alias and type variables, which type
checkers resolve; the clock of tests, `relay_sdk.testing.Clock`; and the common protocol of the
clients of httpx and httpx2."""


@pytest.mark.parametrize("name", relay_sdk.__all__)
def test_every_name_of_a_public_signature_can_be_imported(name: str) -> None:
    for base in getattr(getattr(relay_sdk, name), "__mro__", ()):
        if base.__module__.startswith("relay_sdk"):
            module = ast.parse(inspect.getsource(sys.modules[base.__module__]))
            (cls,) = ast.parse(inspect.getsource(base)).body
            assert isinstance(cls, ast.ClassDef)
            used = {word for text in signatures(cls) for word in re.findall(r"\w+", text)}
            assert used & set(made_here(module)) - NOT_FOR_USERS <= set(relay_sdk.__all__)


@pytest.mark.parametrize(("name", "function"), list(callables()))
def test_no_type_of_another_library_is_in_a_signature(name: str, function: object) -> None:
    """Except for httpx, where users pass a custom `http_client`."""
    try:
        signature = inspect.signature(typing.cast(typing.Any, function))
    except (TypeError, ValueError):
        return
    annotations = {p.name: str(p.annotation) for p in signature.parameters.values()}
    annotations["return"] = str(signature.return_annotation)
    annotations.pop("http_client", None)
    for parameter, annotation in annotations.items():
        assert "httpx" not in annotation, (name, parameter)
        assert "relay_api" not in annotation, (name, parameter)
        assert "Unset" not in annotation, (name, parameter)


def test_sync_and_async_classes_have_the_same_methods() -> None:
    def offered(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert offered(relay_sdk.Client) - {"close"} == offered(relay_sdk.AsyncClient) - {"aclose"}
    assert offered(relay_sdk.JobHelper) == offered(relay_sdk.AsyncJobHelper)


NO_PART = {"dateutil", "pydantic", "relay_api.api", "relay_sdk.cli", "relay_sdk.local",
           "relay_sdk.testing", "sqlite3"}  # fmt: skip
"""Modules that only a part of the package or an extra needs."""
NO_WORKER = NO_PART | {"relay_sdk.worker"}
NO_HTTP = NO_WORKER | {
    "anyio",
    "asyncio",
    "httptools",
    "httpx",
    "relay_api",
    "relay_sdk.client",
    "ssl",
}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import relay_sdk", NO_HTTP),
        ("from relay_sdk import Backoff, Codec, Every, Job, Queue, RelayError", NO_HTTP),
        ("import relay_sdk; relay_sdk.Queue('emails', list[int]).job('x', [1])", NO_HTTP),
        ("from relay_sdk import AsyncClient, AsyncJobHelper, Client, JobHelper", NO_WORKER),
        ("from relay_sdk import *", NO_PART),
    ],
)
def test_nothing_is_imported_before_its_use(statement: str, unwanted: set[str]) -> None:
    python = [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"]
    loaded = set(subprocess.run(python, check=True, capture_output=True, text=True).stdout.split())
    assert loaded & unwanted == set()


def test_lazily_imported_names_are_available() -> None:
    code = """
import relay_sdk
assert set(relay_sdk.__all__) <= set(dir(relay_sdk))
assert not hasattr(relay_sdk, "Clients")
from relay_sdk import *
assert all(globals()[name] is getattr(relay_sdk, name) for name in relay_sdk.__all__)
from relay_sdk.client import Client as same
assert Client is same
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_module_can_be_imported_first() -> None:
    """No import depends on an earlier one."""
    names = [module.name for module in pkgutil.iter_modules(relay_sdk.__path__, "relay_sdk.")]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    python = [sys.executable, "-W", "error", "-c", code, *reversed(names)]
    subprocess.run(python, check=True, capture_output=True)


def test_a_retry_is_logged_under_the_packages_name(caplog: pytest.LogCaptureFixture) -> None:
    answers = [httpx.Response(503), httpx.Response(200)]
    caplog.set_level(logging.DEBUG, "relay_sdk")
    way = httpx.MockTransport(lambda request: answers.pop(0))
    with httpx.Client(transport=way, verify=False) as http:
        relay = relay_sdk.Client("http://server", http_client=http, api="v2", clock=Clock())
        relay.exists("emails", "x")
    records = [record for record in caplog.records if record.name.startswith("relay_sdk")]
    assert ["job 'x' in queue 'emails'" in record.getMessage() for record in records] == [True]


def test_a_client_has_no_public_attributes_but_its_methods() -> None:
    for client in (relay_sdk.Client("http://server"), relay_sdk.AsyncClient("http://server")):
        assert [name for name in vars(client) if not name.startswith("_")] == []


def test_the_package_leaves_logging_to_the_program() -> None:
    logger = logging.getLogger("relay_sdk")
    assert logger.level == logging.NOTSET
    assert not [h for h in logger.handlers if not isinstance(h, logging.NullHandler)]
