"""The files in examples/observability are consistent, and query metrics that exist."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from relay_sdk import Client, JobExistsError, Queue
from relay_sdk.local import LocalServer

from .test_deployment import check, commands

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "observability"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana/dashboards/relay.json").read_text())

SELECTOR = re.compile(r"(\w+)\{(.*?)\}")
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.MULTILINE)


def read(path: str) -> Any:
    return yaml.safe_load((FOLDER / path).read_text())


def test_the_compose_file_has_what_it_says() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    services = compose["services"]
    assert services.keys() == {"relay", "prometheus", "grafana"}
    for name, service in services.items():
        assert ":latest" not in service["image"], name
        assert set(service.get("depends_on", ())) <= services.keys()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (FOLDER / source).exists(), volume
                assert mode == ["ro"]
            else:
                assert source in compose["volumes"]
            assert target.startswith("/")
    (serve,) = (command for command in commands(text) if command[0] == "serve")
    check(serve)


def test_prometheus_and_grafana_find_each_other_and_the_server() -> None:
    (scrape,) = read("prometheus.yml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["relay:8080"]}]
    assert scrape.get("metrics_path", "/metrics") == "/metrics"
    (source,) = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read("grafana/provisioning/dashboards/relay.yml")["providers"]
    mounted = read("compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounted
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert sources == {source["uid"]}


def test_panels_have_names_places_and_questions_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    for one in ("id", "title", "gridPos"):
        assert len({str(panel[one]) for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")
            assert SELECTOR.search(target["expr"]), "a selector has braces"


@pytest.fixture(scope="module")
def metrics() -> dict[str, set[str]]:
    """Return the metrics of a server after all kinds of work, with the labels of each."""
    jobs = Queue("q")
    with LocalServer() as server, Client(server.url) as relay:
        relay.enqueue_batch([jobs.job(id, 1) for id in "abc"])
        with pytest.raises(JobExistsError):
            relay.enqueue(jobs.job("a", 1))
        relay.enqueue(jobs.job("later", 1, delay=1000))
        helper, *_ = relay.next(jobs, 2)
        helper.complete()
        reply = httpx.get(f"{server.url}/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = defaultdict[str, set[str]](set)
    for name in re.findall(r"^# TYPE (\w+) ", reply.text, re.MULTILINE):
        found[name]
    for name, labels in SAMPLE.findall(reply.text):
        found[name].update(re.findall(r'(\w+)="', labels))
    return found


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_each_panel_asks_for_what_the_server_has(
    panel: dict[str, Any], metrics: dict[str, set[str]]
) -> None:
    for target in panel["targets"]:
        shown = set(re.findall(r"\bby \((\w+)\)", target["expr"]))
        shown |= set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        for name, matchers in SELECTOR.findall(target["expr"]):
            assert name in metrics
            wanted = shown | set(re.findall(r"(\w+)=", matchers))
            assert not metrics[name] or wanted <= metrics[name]


def test_the_queues_to_choose_from_are_those_of_a_metric(metrics: dict[str, set[str]]) -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    ((name, label),) = re.findall(r"label_values\((\w+), (\w+)\)", variable["query"])
    assert label in metrics[name]
