"""Publishes a request to Handover, then waits for the reply and for the event with the outcome.

    python hand_over.py request.json

AMQP_URL is RabbitMQ's address; HANDOVER_PREFIX is `broker.prefix` of Handover's settings. Exit code 0: completed.
"""

import json
import os
import sys
import uuid

import pika

PREFIX = os.environ.get("HANDOVER_PREFIX", "handover")
TIMEOUT = 60  # seconds without any message
ENDS = {"completed", "rejected", "needs_attention", "cancelled"}


def messages(channel, queue):
    """Yields the messages of a queue. Exits if none arrives in time."""
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=TIMEOUT):
        if method is None:
            sys.exit("no message arrived in time")
        yield properties, json.loads(body)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    if "type" not in request:
        sys.exit('the request has no type: add "type": "deactivate", or another type')
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()

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

    reply = next(reply for properties, reply in messages(channel, replies) if properties.correlation_id == correlation)
    channel.cancel()
    print(json.dumps(reply))
    if reply["outcome"] in ("rejected", "parked"):
        sys.exit(1)

    # The events of a duplicate were published before: look up its job with `handover job`.
    if reply["outcome"] == "duplicate":
        return
    for _, event in messages(channel, events):
        if event["data"].get("job_id") == reply["job_id"] and event["type"].rsplit(".", 1)[-1] in ENDS:
            print(json.dumps(event))
            connection.close()
            sys.exit(0 if event["type"].endswith(".completed") else 1)


main()
