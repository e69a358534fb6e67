"""Contains all the data models used in inputs/outputs"""

from .enqueue_mode import EnqueueMode
from .job_v1 import JobV1
from .job_v2 import JobV2
from .new_job_v1 import NewJobV1
from .new_job_v2 import NewJobV2

__all__ = (
    "EnqueueMode",
    "JobV1",
    "JobV2",
    "NewJobV1",
    "NewJobV2",
)
