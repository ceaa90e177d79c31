//! Replies: a sender that sets AMQP's `reply_to` receives the outcome of its request at once.

use std::time::Duration;

use futures_util::StreamExt;
use handover::contract::{REPLY_TYPE, Reply, ReplyOutcome, RequestOutcome};
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

use crate::support::broker::{amqp_url, key_of};
use crate::support::world::{LIMIT, keap_request, message, read};
use crate::support::{World, on_postgres};

/// A client that waits for replies on a connection of its own.
pub struct Client {
    _connection: Connection,
    channel: lapin::Channel,
    replies: lapin::Consumer,
    pub queue: String,
    prefix: String,
}

impl Client {
    /// Opens a client with a queue of its own.
    pub async fn with_a_queue(world: &World) -> Client {
        let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await.expect("RabbitMQ");
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.expect("a queue");
        let queue = queue.name().to_string();
        Client::on(world, connection, channel, queue).await
    }

    /// Opens a client on RabbitMQ's direct reply-to pseudo-queue.
    async fn directly(world: &World) -> Client {
        let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await.expect("RabbitMQ");
        let channel = connection.create_channel().await.expect("a channel");
        Client::on(world, connection, channel, "amq.rabbitmq.reply-to".into()).await
    }

    async fn on(world: &World, connection: Connection, channel: lapin::Channel, queue: String) -> Client {
        let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies = channel.basic_consume(queue.as_str().into(), "".into(), consume, FieldTable::default()).await;
        let replies = replies.expect("consuming");
        Client { _connection: connection, channel, replies, queue, prefix: world.prefix.clone() }
    }

    async fn send_to(&self, reply_to: &str, body: &[u8], correlation: &str) {
        self.send_as(&key_of(body), reply_to, body, correlation).await;
    }

    pub async fn send_as(&self, key: &str, reply_to: &str, body: &[u8], correlation: &str) {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_reply_to(reply_to.into())
            .with_correlation_id(correlation.into());
        let exchange = self.prefix.as_str().into();
        let sent =
            self.channel.basic_publish(exchange, key.into(), BasicPublishOptions::default(), body, properties).await;
        sent.expect("sent");
    }

    pub async fn next(&mut self) -> (Reply, Delivery) {
        let delivery = tokio::time::timeout(LIMIT, self.replies.next()).await.expect("a reply within the limit");
        let delivery = delivery.expect("a reply").expect("a delivery");
        let reply = serde_json::from_slice(&delivery.data).expect("a reply is JSON of its schema");
        (reply, delivery)
    }

    /// Sends a request and waits for its reply.
    async fn ask(&mut self, body: &[u8], correlation: &str) -> Reply {
        self.send_to(&self.queue, body, correlation).await;
        let (reply, delivery) = self.next().await;
        let properties = delivery.properties;
        assert_eq!(properties.correlation_id().as_ref().map(|id| id.as_str()), Some(correlation));
        assert_eq!(properties.kind().as_ref().map(|kind| kind.as_str()), Some(REPLY_TYPE));
        assert_eq!(properties.content_type().as_ref().map(|kind| kind.as_str()), Some("application/json"));
        reply
    }
}

fn body(request: &Value) -> Vec<u8> {
    request.to_string().into_bytes()
}

fn codes(reply: &Reply) -> Vec<&str> {
    reply.reasons.iter().map(|reason| reason.code.name()).collect()
}

async fn is_rejected_by_the_server(world: &mut World, client: &mut Client) {
    world.start_worker().await;
    let good = keap_request("r1");
    let id = read(&good).job_id();
    let job = Some(id);
    let accepted = client.ask(&body(&good), "a").await;
    assert_eq!((accepted.outcome, accepted.job_id), (ReplyOutcome::Accepted, job));
    assert_eq!((accepted.request_id.as_deref(), accepted.reasons.len()), (Some("r1"), 0));
    assert!(world.job(id).await.is_some(), "the outcome is committed before the reply");

    let again = client.ask(&body(&good), "b").await;
    assert_eq!((again.outcome, again.job_id), (ReplyOutcome::Duplicate, job));
    assert_eq!(again.first_outcome, Some(RequestOutcome::Accepted));

    let mut bad = keap_request("r2");
    bad["user_id"] = json!("999");
    let rejected = client.ask(&body(&bad), "c").await;
    assert_eq!((rejected.outcome, rejected.job_id), (ReplyOutcome::Rejected, Some(read(&bad).job_id())));
    assert_eq!(codes(&rejected), ["unknown_user"]);
    let again = client.ask(&body(&bad), "d").await;
    assert_eq!((again.outcome, again.first_outcome), (ReplyOutcome::Duplicate, Some(RequestOutcome::Rejected)));
    assert_eq!(again.reasons, rejected.reasons);

    let mut conflict = keap_request("r1");
    conflict["reason"] = json!("another body");
    let dead_letter = client.ask(&body(&conflict), "e").await;
    assert_eq!((dead_letter.outcome, dead_letter.request_id.as_deref()), (ReplyOutcome::Parked, Some("r1")));
    assert_eq!((codes(&dead_letter), dead_letter.path.as_deref()), (vec!["conflict"], Some("request_id")));
    let dead_letter = client.ask(b"no request", "f").await;
    assert_eq!(
        (dead_letter.outcome, dead_letter.job_id, codes(&dead_letter)),
        (ReplyOutcome::Parked, None, vec!["not_json"])
    );

    let command = json!({ "type": "pause", "request_id": "o1", "org_id": "1", "requested_by": "1", "job_id": job });
    let command = client.ask(&body(&command), "g").await;
    assert_eq!((command.outcome, codes(&command)), (ReplyOutcome::Rejected, vec!["wrong_state"]));

    client.send_as("request.reassign", &client.queue, &body(&keap_request("r3")), "h").await;
    let (dead_letter, _) = client.next().await;
    assert_eq!((dead_letter.outcome, dead_letter.request_id.as_deref()), (ReplyOutcome::Parked, Some("r3")));
    assert_eq!((codes(&dead_letter), dead_letter.path.as_deref()), (vec!["type_mismatch"], Some("type")));
}

#[on_postgres]
async fn reply_reports_the_outcome_at_once(world: &mut World) {
    let mut client = Client::with_a_queue(world).await;
    is_rejected_by_the_server(world, &mut client).await;
}

#[on_postgres]
async fn direct_reply_to_works_like_a_queue(world: &mut World) {
    let mut client = Client::directly(world).await;
    is_rejected_by_the_server(world, &mut client).await;
}

#[on_postgres]
async fn undeliverable_replies_delay_nothing(world: &mut World) {
    let mut client = Client::with_a_queue(world).await;
    let nowhere = ["no-such-queue".to_owned(), "amq.rabbitmq.reply-to.gone".to_owned(), "x".repeat(255)];
    let ours = ["requests", "steps", "dead"].map(|queue| format!("{}.{queue}", world.prefix));
    for (place, to) in nowhere.iter().chain(&ours).enumerate() {
        let mut request = keap_request(&format!("lost {place}"));
        request["user_id"] = json!("999");
        client.send_to(to, &body(&request), "lost").await;
    }
    world.start_worker().await;
    // In the same group, or after it.
    assert_eq!(client.ask(&body(&keap_request("r1")), "heard").await.outcome, ReplyOutcome::Accepted);
    world
        .until("every request is taken", async || {
            (world.number("SELECT count(*) FROM handover.jobs").await == 7).then_some(())
        })
        .await;
    let all_settled = async || (world.client.waiting("requests").await == 0).then_some(());
    world.until("no message is waiting", all_settled).await;
    assert!(
        world.client.next_dead_letter(Duration::from_millis(200)).await.is_none(),
        "a reply came back as a message"
    );
}

#[on_postgres]
async fn redelivered_request_is_answered_after_crash(world: &mut World) {
    // The first worker has committed this but not answered.
    let request = keap_request("r1");
    let message = message(body(&request));
    handover::stages::intake::take(&world.context, &[message]).await;
    let mut client = Client::with_a_queue(world).await;
    world.start_worker().await;
    let reply = client.ask(&body(&request), "again").await;
    assert_eq!((reply.outcome, reply.first_outcome), (ReplyOutcome::Duplicate, Some(RequestOutcome::Accepted)));
}
