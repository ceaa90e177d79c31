// Publishes a request to Handover, then waits for the reply and for the event with the outcome.
//
//     node hand_over.mjs request.json
//
// AMQP_URL is RabbitMQ's address; HANDOVER_PREFIX is `broker.prefix` of Handover's settings. Exit code 0: done, or accepted
// for later; 1: rejected, set aside, or in need of a person; 2: wrong usage.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import amqp from "amqplib";

const prefix = process.env.HANDOVER_PREFIX ?? "handover";
const replyTimeout = 60_000;
// These are done once they are accepted. Every other type has an event at its end.
const doneAtOnce = ["pause", "resume", "amend", "invite", "resend_invitation", "accept_invitation", "cancel_invitation"];
const noWorker = "no queue takes requests: start a Handover worker first (`handover run`), and check HANDOVER_PREFIX";

function stop(text, code = 1) {
  console.error(text);
  process.exit(code);
}

if (process.argv.length !== 3) stop("usage: node hand_over.mjs request.json", 2);
const request = JSON.parse(await readFile(process.argv[2], "utf8"));
if (!request.type) stop('the request has no type: add "type": "deactivate", or another type', 2);
if (!process.env.AMQP_URL) stop("set AMQP_URL to RabbitMQ's address, such as amqp://user:password@host:5672/%2f", 2);

const connection = await amqp.connect(process.env.AMQP_URL).catch((error) => {
  stop(`RabbitMQ cannot be reached: ${error.message}`);
});
const channel = await connection.createConfirmChannel();
channel.on("error", () => stop(noWorker));
channel.on("return", () => stop(noWorker));

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
await channel.bindQueue(events.queue, `${prefix}.events`, "handover.#").catch(() => stop(noWorker));
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

const expiry = setTimeout(() => {
  stop("no reply arrived: is a worker running (`handover run`)? The request waits on its queue");
}, replyTimeout);
let message = await nextReply();
while (message.properties.correlationId !== correlationId) message = await nextReply();
clearTimeout(expiry);
const reply = JSON.parse(message.content);
console.log(JSON.stringify(reply));

// Returns the exit code if an event ends the wait for the job.
function codeOf({ type, data }) {
  const change = type.split(".").at(-1);
  // The end of an undo is an event of the job that it undid.
  if (data.undone_by === reply.job_id && ["reverted", "cancelled"].includes(change)) return 0;
  if (data.job_id !== reply.job_id) return undefined;
  // A job that waits for another one starts by itself; a job for later ends the wait.
  if (change === "scheduled") return data.effective_at && !data.wait_for ? 0 : undefined;
  return { completed: 0, reactivated: 0, rejected: 1, needs_attention: 1, cancelled: 1 }[change];
}

async function outcome() {
  // The events of a duplicate were published before: look up its job with `handover job`.
  if (reply.outcome === "duplicate") return reply.first_outcome === "accepted" ? 0 : 1;
  if (reply.outcome !== "accepted") return 1;
  if (doneAtOnce.includes(request.type)) return 0;
  // A large job may run for hours between two events.
  for (;;) {
    const event = JSON.parse((await nextEvent()).content);
    const code = codeOf(event);
    if (code === undefined) continue;
    console.log(JSON.stringify(event));
    return code;
  }
}

const code = await outcome();
await connection.close();
process.exit(code);
