"""Pass orders through two queues, for pricing and for invoices: pipeline.py ITEM..."""

import sys
from dataclasses import dataclass

from relay_sdk import Client, JobHelper, Queue, Worker


@dataclass
class Order:
    item: str


@dataclass
class Invoice:
    item: str
    cents: int


ORDERS = Queue("orders", payload=Order)
INVOICES = Queue("invoices", payload=Invoice)


def price(helper: JobHelper[Order]) -> None:
    item = helper.job.payload.item
    invoice = INVOICES.job(helper.job.id, Invoice(item, cents=100 * len(item)))
    # One transaction: the order is done and its invoice enqueued, or neither.
    helper.requeue([invoice], mode="ignore")


def send(helper: JobHelper[Invoice]) -> None:
    invoice = helper.job.payload
    print(f"{invoice.item}: {invoice.cents / 100:.2f}", flush=True)


if __name__ == "__main__":
    with Client() as relay:  # the server at $RELAY_URL, with API v2
        orders = [ORDERS.job(item, Order(item)) for item in sys.argv[1:]]
        relay.enqueue_batch(orders)
        Worker(relay, ORDERS, price).add(INVOICES, send).run()
