"""The offboarding that a good team would write with Celery and psycopg.

A request is accepted once, its leaver and successors are locked, guards are evaluated, and records move with a journal and with
copies of what is removed. A small job is one transaction in three round trips. A large one is cut into chunks, a task each.
Events are published with confirms after the commit and before the request is acknowledged, so that a crash repeats them.
"""

import json
import os

import amqp
import psycopg
from celery import Celery
from celery.signals import worker_process_init, worker_ready
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from kombu import Exchange, Queue
from kombu.utils.url import url_to_parts

import offboarding

DATABASE = os.environ["PEER_DATABASE"]
BROKER = os.environ["PEER_BROKER"]
PREFIX = os.environ["PEER_PREFIX"]
HAS_FOLLOWS = os.environ["PEER_FOLLOWS"] == "1"

# Celery declares queues for delayed tasks on a broker with quorum queues. No task is delayed here.
DelayedDelivery.include_if = lambda self, consumer: False

REQUESTS = Queue(f"{PREFIX}.requests", Exchange(""), f"{PREFIX}.requests", queue_arguments={"x-queue-type": "quorum"})

app = Celery("peer", broker=BROKER)
app.conf.update(
    task_queues=[REQUESTS],
    task_default_queue=REQUESTS.name,
    task_default_exchange="",
    task_default_routing_key=REQUESTS.name,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    broker_heartbeat=0,
)
FAILURES = (psycopg.Error, amqp.AMQPError, OSError)


class Events:
    """A channel whose messages are published together and confirmed together."""

    def __init__(self):
        parts = url_to_parts(BROKER)
        connection = amqp.Connection(
            host=f"{parts.hostname}:{parts.port}", userid=parts.username, password=parts.password, virtual_host=parts.path
        )
        connection.connect()
        self.connection, self.channel, self.confirmed, self.published = connection, connection.channel(), 0, 0
        self.channel.events["basic_ack"].add(self.on_ack)
        self.channel.events["basic_nack"].add(self.on_nack)
        self.channel.confirm_select()

    def on_ack(self, delivery_tag, multiple):
        self.confirmed = self.confirmed + 1 if not multiple else max(self.confirmed, delivery_tag)

    def on_nack(self, delivery_tag, multiple):
        raise OSError(f"the broker refused message {delivery_tag}")

    def publish(self, messages):
        for key, body in messages:
            message = amqp.Message(json.dumps(body), content_type="application/json", delivery_mode=2)
            self.channel.basic_publish(message, exchange=f"{PREFIX}.events", routing_key=key)
            self.published += 1
        while self.confirmed < self.published:
            self.connection.drain_events(timeout=30)


class Process:
    """The connections of one worker process. They are opened again after a failure."""

    database = None
    events = None

    @classmethod
    def connect(cls):
        if cls.database is None or cls.database.closed:
            cls.database = psycopg.connect(DATABASE, autocommit=True, prepare_threshold=0)
        if cls.events is None:
            cls.events = Events()
        return cls

    @classmethod
    def publish(cls, messages):
        try:
            cls.events.publish(messages)
        except FAILURES:
            cls.events = None
            raise


@worker_process_init.connect
def connect_at_start(**_):
    Process.connect()


@worker_ready.connect
def report_ready(**_):
    print("peer is ready", flush=True)


@app.task(name="deactivate", autoretry_for=FAILURES, retry_kwargs={"max_retries": 5, "countdown": 0})
def deactivate(request):
    process = Process.connect()
    started = offboarding.start(process.database, request, HAS_FOLLOWS)
    for kind, number in started.chunks:
        move.delay(request, kind, number)
    if started.is_completed:
        process.publish(events_of(request, started.totals))


@app.task(name="move", autoretry_for=FAILURES, retry_kwargs={"max_retries": 5, "countdown": 0})
def move(request, kind, number):
    process = Process.connect()
    if offboarding.move_chunk(process.database, request, kind, number):
        process.publish(events_of(request, offboarding.finish(process.database, request, HAS_FOLLOWS)))


def events_of(request, totals):
    """Returns one event for each successor, and one that completes the job."""
    job, by_successor = {"request_id": request["request_id"], "user_id": request["user_id"]}, {}
    for successor, kind, records in totals:
        by_successor.setdefault(successor, {})[kind] = records
    for successor, records in by_successor.items():
        yield "handover.records.assigned", event(f"assigned-{successor}", job | {"to": str(successor), "records": records})
    yield "handover.deactivation.completed", event("completed", job)


def event(name, data):
    return {"specversion": "1.0", "id": f"{data['request_id']}-{name}", "source": "peer", "type": name, "data": data}
