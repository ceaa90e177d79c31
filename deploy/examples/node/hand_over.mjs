// Publishes a request to Handover, and waits for the reply and then for the event that tells how it ended.
//
//     node hand_over.mjs request.json
//
// AMQP_URL leads to RabbitMQ; HANDOVER_PREFIX is `broker.prefix` of Handover's settings. Exit code 0: completed.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import amqp from "amqplib";

const prefix = process.env.HANDOVER_PREFIX ?? "handover";
const patience = 60_000;
const ends = ["completed", "rejected", "needs_attention", "cancelled"];

const request = JSON.parse(await readFile(process.argv[2], "utf8"));
const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();
const tooLate = setTimeout(() => {
  console.error("nothing came");
  process.exit(1);
}, patience);

// Messages of a queue as they come, kept until somebody asks for them.
async function listen(queue) {
  const kept = [];
  let wake = () => {};
  await channel.consume(queue, (message) => (kept.push(message), wake()), { noAck: true });
  return async () => {
    while (kept.length === 0) await new Promise((resolve) => (wake = resolve));
    return kept.shift();
  };
}

// Listening comes first: what happens between publishing and listening would be missed.
const replies = await channel.assertQueue("", { exclusive: true });
const events = await channel.assertQueue("", { exclusive: true });
await channel.bindQueue(events.queue, `${prefix}.events`, "handover.#");
const nextReply = await listen(replies.queue);
const nextEvent = await listen(events.queue);

const correlationId = randomUUID();
const kind = request.type ?? "deactivate";
channel.publish(prefix, `request.${kind}`, Buffer.from(JSON.stringify(request)), {
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

// Of a duplicate the events were told before: its job is looked up instead, with `handover job`.
while (reply.outcome === "accepted") {
  const event = JSON.parse((await nextEvent()).content);
  const end = event.type.split(".").at(-1);
  if (event.data.job_id !== reply.job_id || !ends.includes(end)) continue;
  console.log(JSON.stringify(event));
  code = end === "completed" ? 0 : 1;
  break;
}
clearTimeout(tooLate);
await connection.close();
process.exit(code);
