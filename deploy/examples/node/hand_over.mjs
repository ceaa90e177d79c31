// Publishes a request to Handover, then waits for the reply and for the event with the outcome.
//
//     node hand_over.mjs request.json
//
// AMQP_URL is RabbitMQ's address; HANDOVER_PREFIX is `broker.prefix` of Handover's settings. Exit code 0: completed.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import amqp from "amqplib";

const prefix = process.env.HANDOVER_PREFIX ?? "handover";
const timeout = 60_000;
const ends = ["completed", "rejected", "needs_attention", "cancelled"];

const request = JSON.parse(await readFile(process.argv[2], "utf8"));
const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();
const expiry = setTimeout(() => {
  console.error("no message arrived in time");
  process.exit(1);
}, timeout);

// Buffers the messages of a queue until they are read.
async function listen(queue) {
  const kept = [];
  let wake = () => {};
  await channel.consume(queue, (message) => (kept.push(message), wake()), { noAck: true });
  return async () => {
    while (kept.length === 0) await new Promise((resolve) => (wake = resolve));
    return kept.shift();
  };
}

// Subscribe first: messages sent before the subscription would be missed.
const replies = await channel.assertQueue("", { exclusive: true });
const events = await channel.assertQueue("", { exclusive: true });
await channel.bindQueue(events.queue, `${prefix}.events`, "handover.#");
const nextReply = await listen(replies.queue);
const nextEvent = await listen(events.queue);

const correlationId = randomUUID();
// A routing key that differs from the body's type is refused.
channel.publish(prefix, `request.${request.type}`, Buffer.from(JSON.stringify(request)), {
  persistent: true,
  mandatory: true,
  contentType: "application/json",
  messageId: randomUUID(),
  replyTo: replies.queue,
  correlationId,
});
await channel.waitForConfirms();

let message = await nextReply();
while (message.properties.correlationId !== correlationId) message = await nextReply();
const reply = JSON.parse(message.content);
console.log(JSON.stringify(reply));
let code = reply.outcome === "accepted" || reply.outcome === "duplicate" ? 0 : 1;

// The events of a duplicate were published before: look up its job with `handover job`.
while (reply.outcome === "accepted") {
  const event = JSON.parse((await nextEvent()).content);
  const end = event.type.split(".").at(-1);
  if (event.data.job_id !== reply.job_id || !ends.includes(end)) continue;
  console.log(JSON.stringify(event));
  code = end === "completed" ? 0 : 1;
  break;
}
clearTimeout(expiry);
await connection.close();
process.exit(code);
