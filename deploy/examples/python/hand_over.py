"""Publishes a request to Handover, then waits for the reply and for the event with the outcome.

    python hand_over.py request.json

AMQP_URL is RabbitMQ's address; HANDOVER_PREFIX is `broker.prefix` of Handover's settings. Exit code 0: done, or accepted for
later; 1: rejected, set aside, or in need of a person; 2: wrong usage.
"""

import json
import os
import sys
import uuid

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, UnroutableError

PREFIX = os.environ.get("HANDOVER_PREFIX", "handover")
REPLY_TIMEOUT = 60  # seconds
# These are done once they are accepted. Every other type has an event at its end.
DONE_AT_ONCE = {"pause", "resume", "amend", "invite", "resend_invitation", "accept_invitation", "cancel_invitation"}


def stop(text, code=1):
    print(text, file=sys.stderr)
    sys.exit(code)


def read_request():
    if len(sys.argv) != 2:
        stop("usage: python hand_over.py request.json", 2)
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    if "type" not in request:
        stop('the request has no type: add "type": "deactivate", or another type', 2)
    return request


def messages(channel, queue, timeout=None):
    """Yields the messages of a queue. Exits if none arrives in time."""
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=timeout):
        if method is None:
            stop("no reply arrived: is a worker running (`handover run`)? The request waits on its queue")
        yield properties, json.loads(body)


def code_of(event, job):
    """Returns the exit code if an event ends the wait for a job, else None."""
    data, change = event["data"], event["type"].rsplit(".", 1)[-1]
    # The end of an undo is an event of the job that it undid.
    if data.get("undone_by") == job and change in ("reverted", "cancelled"):
        return 0
    if data.get("job_id") != job:
        return None
    if change == "scheduled":
        # A job that waits for another one starts by itself; a job for later ends the wait.
        return 0 if data.get("effective_at") and not data.get("wait_for") else None
    return {"completed": 0, "reactivated": 0, "rejected": 1, "needs_attention": 1, "cancelled": 1}.get(change)


def hand_over(channel, request):
    # Subscribe first: messages sent before the subscription would be missed.
    replies = channel.queue_declare("", exclusive=True).method.queue
    events = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(events, f"{PREFIX}.events", "handover.#")
    correlation = str(uuid.uuid4())
    properties = pika.BasicProperties(
        delivery_mode=pika.DeliveryMode.Persistent,
        content_type="application/json",
        message_id=str(uuid.uuid4()),
        reply_to=replies,
        correlation_id=correlation,
    )
    # A routing key that differs from the body's type is refused.
    channel.basic_publish(PREFIX, f"request.{request['type']}", json.dumps(request), properties, mandatory=True)
    received = messages(channel, replies, REPLY_TIMEOUT)
    reply = next(reply for properties, reply in received if properties.correlation_id == correlation)
    channel.cancel()
    print(json.dumps(reply))
    if reply["outcome"] == "duplicate":
        # Its events were published before: look up its job with `handover job`.
        return 0 if reply["first_outcome"] == "accepted" else 1
    if reply["outcome"] != "accepted":
        return 1
    if request["type"] in DONE_AT_ONCE:
        return 0
    # A large job may run for hours between two events.
    for _, event in messages(channel, events):
        code = code_of(event, reply["job_id"])
        if code is not None:
            print(json.dumps(event))
            return code


def main():
    request = read_request()
    if "AMQP_URL" not in os.environ:
        stop("set AMQP_URL to RabbitMQ's address, such as amqp://user:password@host:5672/%2f", 2)
    try:
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    except AMQPConnectionError as error:
        stop(f"RabbitMQ cannot be reached: {error!r}")
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        code = hand_over(channel, request)
    except (ChannelClosedByBroker, UnroutableError):
        stop("no queue takes requests: start a Handover worker first (`handover run`), and check HANDOVER_PREFIX")
    connection.close()
    sys.exit(code)


main()
