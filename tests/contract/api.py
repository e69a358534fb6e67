"""The operations of one API version on one fresh queue, each of them one plain request."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from .wire import NOTHING, Answer, Flavor, Wire, escape

Version = Literal["v1", "v2"]
Fields = dict[str, Any]


@dataclass(frozen=True)
class Api:
    version: Version
    wire: Wire
    queue: str

    @property
    def flavor(self) -> Flavor:
        return self.wire.flavor

    @property
    def root(self) -> str:
        return f"/{self.version}/queues"

    @property
    def enqueue_path(self) -> str:
        return f"{self.root}/jobs"

    @property
    def infinite(self) -> int | None:
        """The `max_retries` that never runs out."""
        return -1 if self.version == "v1" else None

    def next_path(self, queue: str | None = None) -> str:
        return f"{self.root}/{escape(self.queue if queue is None else queue)}/jobs"

    def path(self, id: str, queue: str | None = None) -> str:
        return f"{self.next_path(queue)}/{escape(id)}"

    def run_path(self, job: Fields, run_id: str | None = None) -> str:
        return f"{self.path(job['id'], job['queue'])}/run-id/{run_id or job['run_id']}"

    def job(self, id: str = "x", **fields: Any) -> Fields:
        """A job as a request has it."""
        return {"queue": self.queue, "id": id, "timeout": 30, "payload": {"n": 1}} | fields

    def post(self, body: bytes, content_type: str | None = "application/json") -> Answer:
        """Enqueue whatever these bytes are."""
        return self.wire.send("POST", self.enqueue_path, body=body, content_type=content_type)

    def enqueue(self, *jobs: Any, mode: str | None = None) -> Answer:
        query = "" if mode is None else f"?mode={mode}"
        return self.wire.send("POST", self.enqueue_path + query, json=list(jobs))

    def stored(self, id: str = "x", **fields: Any) -> Fields:
        """Enqueue a job and read it back."""
        assert self.enqueue(self.job(id, **fields)).status == 202
        return self.row(id, fields.get("queue"))

    def next(self, num_jobs: int | str | None = None, queue: str | None = None) -> Answer:
        query = "" if num_jobs is None else f"?num_jobs={num_jobs}"
        return self.wire.send("GET", self.next_path(queue) + query)

    def taken(self, num_jobs: int = 1) -> list[Fields]:
        """The jobs that `next` hands out; none where it answers 204."""
        answer = self.next(num_jobs)
        assert answer.status in {200, 204}, answer
        return [] if answer.status == 204 else answer.json

    def taken_ids(self, num_jobs: int = 100) -> set[str]:
        return {job["id"] for job in self.taken(num_jobs)}

    def claimed(self, id: str = "x", **fields: Any) -> Fields:
        """Enqueue a job and claim it, on a queue with nothing else that is ready."""
        self.stored(id, **fields)
        (job,) = self.taken()
        assert job["id"] == id
        return job

    def get(self, id: str = "x", queue: str | None = None) -> Answer:
        return self.wire.send("GET", self.path(id, queue))

    def row(self, id: str = "x", queue: str | None = None) -> Fields:
        answer = self.get(id, queue)
        assert answer.status == 200, answer
        row: Fields = answer.json
        return row

    def exists(self, id: str = "x", queue: str | None = None) -> bool:
        status = self.wire.send("HEAD", self.path(id, queue)).status
        assert status in {200, 404}
        return status == 200

    def remove(self, id: str = "x") -> Answer:
        return self.wire.send("DELETE", self.path(id))

    def heartbeat_path(self, job: Fields) -> str:
        """Where this version wants a heartbeat for that job; a job not claimed gets any run id."""
        if self.version == "v1":
            return self.path(job["id"], job["queue"])
        return self.run_path(job, job.get("run_id") or str(uuid4()))

    def heartbeat(
        self,
        job: Fields,
        *,
        state: Any = NOTHING,
        body: bytes | None = None,
        content_type: str | None = None,
    ) -> Answer:
        target = self.heartbeat_path(job)
        return self.wire.send("PATCH", target, json=state, body=body, content_type=content_type)

    def is_claimed(self, job: Fields) -> bool:
        """Return whether that run still holds its job; on v2 without touching it."""
        if self.version == "v2":
            return bool(self.row(job["id"])["run_id"] == job["run_id"])
        return self.heartbeat(job).status == 202

    def reschedule(self, job: Any) -> Answer:
        assert self.version == "v1"
        return self.wire.send("PUT", self.enqueue_path, json=job)

    def complete(self, job: Fields, run_id: str | None = None) -> Answer:
        return self.wire.send("DELETE", self.run_path(job, run_id))

    def requeue(
        self, job: Fields, *jobs: Any, mode: str | None = None, run_id: str | None = None
    ) -> Answer:
        query = "" if mode is None else f"?mode={mode}"
        return self.wire.send("PUT", self.run_path(job, run_id) + query, json=list(jobs))
