"""Connecting to the database: TLS, passwords from the usual places, several hosts."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from relay_sdk.local import App
from relay_sdk.local.postgres import store

from ...support.postgres import MISSING, Cluster, are_skipped
from .test_faults import enqueue, until

pytestmark = pytest.mark.skipif(are_skipped(), reason=MISSING)


@pytest.fixture(scope="module")
def locked() -> Iterator[Cluster]:
    """A cluster that others reach over TLS and with the password "s3cret" alone."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl for a certificate")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cluster = Cluster(fsync="off", listen_addresses="127.0.0.1", port=str(port), ssl="on")
    try:
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                "-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost",
            ],
            cwd=cluster.data, check=True, capture_output=True,
        )  # fmt: skip
        key = cluster.data / "server.key"
        key.chmod(0o600)
        shutil.chown(key, cluster.data.owner())
        (cluster.data / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all all all scram-sha-256\n"
        )
        cluster.start()
        with psycopg.connect(cluster.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE app LOGIN PASSWORD 's3cret'")
            admin.execute("CREATE DATABASE relay OWNER app")
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE"):
        monkeypatch.delenv(name, raising=False)


def over_tls(cluster: Cluster, host: str = "localhost", root: str = "server.crt") -> str:
    return (
        f"postgresql://app@{host}:{cluster.port}/relay?hostaddr=127.0.0.1&sslmode=verify-full"
        f"&sslrootcert={cluster.data / root}"
    )


def is_used(url: str) -> bool:
    with App(url) as app:
        return app.answer([enqueue("a")])[0].status in (202, 409)


def test_the_password_may_be_in_the_environment(
    locked: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "s3cret")

    assert is_used(over_tls(locked))


def test_the_password_may_be_in_the_file_of_passwords(
    locked: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"localhost:{locked.port}:relay:app:s3cret\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))

    assert is_used(over_tls(locked))


def test_a_service_may_have_all_parameters(
    locked: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services"
    file.write_text(
        f"[jobs]\nhost=localhost\nhostaddr=127.0.0.1\nport={locked.port}\ndbname=relay\nuser=app\n"
        f"password=s3cret\nsslmode=verify-full\nsslrootcert={locked.data / 'server.crt'}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))

    assert is_used("postgresql://?service=jobs")
    monkeypatch.setenv("PGSERVICE", "jobs")
    assert is_used("postgresql://")


def test_a_wrong_password_is_one_line_that_does_not_show_it(locked: Cluster) -> None:
    url = over_tls(locked).replace("app@", "app:wr0ng@")

    with pytest.raises(OSError, match="password authentication failed") as got:
        App(url)
    assert "wr0ng" not in str(got.value)
    assert "\n" not in str(got.value)


@pytest.mark.parametrize(
    ("host", "root"), [("elsewhere", "server.crt"), ("localhost", "nothing.crt")]
)
def test_a_server_with_another_certificate_is_refused(
    locked: Cluster, host: str, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "s3cret")

    with pytest.raises(OSError, match="certificate"):
        App(over_tls(locked, host, root))


def test_a_promoted_standby_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RECONNECT_INTERVAL", 0.0)
    # Each commit waits until the standby has it: it then has all that was acknowledged.
    first = Cluster(fsync="off", synchronous_standby_names="*", synchronous_commit="local")
    second: Cluster | None = None
    try:
        second = Cluster(copy_of=first.start(), fsync="off").start()
        with psycopg.connect(first.url(), autocommit=True) as admin:
            admin.execute("ALTER ROLE relay SET synchronous_commit = 'on'")
        hosts = f"{second.folder},{first.folder}"
        with App(f"postgresql://relay@/postgres?host={hosts}&target_session_attrs=primary") as app:
            kept = [str(n) for n in range(20)]
            assert app.answer([enqueue(*kept)])[0].status == 202
            first.stop()

            assert app.answer([enqueue("lost")])[0].status == 503
            second.promote()
            until(app, enqueue("after"), 202)

            for id in [*kept, "after"]:
                assert app("HEAD", f"/v2/queues/q/jobs/{id}", {}, b"").status == 200
    finally:
        first.remove()
        if second is not None:
            second.remove()
