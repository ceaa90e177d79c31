//! Parses the protocols on a worker's connections, as far as faults and the acknowledgement check need it.

use std::collections::BTreeMap;

use crate::acknowledgements::{Channel, Requests};

/// The points of a worker's life that are visible on its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A transaction's commit is on its way to the database.
    Commit,
    /// The commit succeeded, and the answer is on its way back.
    Committed,
    /// A message is on its way to the broker.
    Publish,
    /// The broker has the message, and the confirm is on its way back.
    Confirm,
    /// A message is on its way to the worker.
    Delivery,
    /// The acknowledgement of a step is on its way to the broker.
    Acknowledgement,
    /// The acknowledgement of a request. No one else has the request, so its outcome must be committed by now.
    Answer,
}

impl Point {
    pub const ALL: [Point; 7] = [
        Point::Commit,
        Point::Committed,
        Point::Publish,
        Point::Confirm,
        Point::Delivery,
        Point::Acknowledgement,
        Point::Answer,
    ];
}

/// The sender of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Worker,
    Server,
}

/// Finds the points in one direction of a connection.
pub enum Scanner {
    /// PostgreSQL: both the statement and its completion tag are the same word, followed by a zero byte.
    Database(From),
    Broker(Broker),
}

/// The points and requests found in data.
#[derive(Default)]
pub struct Reached {
    pub points: Vec<Point>,
    /// The acknowledged requests.
    pub requests: Vec<String>,
}

impl Scanner {
    pub fn scan(&mut self, bytes: &[u8]) -> Reached {
        match self {
            Scanner::Database(from) => {
                let word = b"COMMIT\0";
                let is_there = bytes.windows(word.len()).any(|window| window == word);
                let point = if *from == From::Worker { Point::Commit } else { Point::Committed };
                Reached { points: Vec::from_iter(is_there.then_some(point)), requests: Vec::new() }
            }
            Scanner::Broker(broker) => broker.scan(bytes),
        }
    }
}

/// AMQP 0-9-1: a frame is type, channel, size, payload, and end mark.
pub struct Broker {
    from: From,
    requests: Requests,
    /// The start of an incomplete frame.
    rest: Vec<u8>,
    /// The message being delivered on each channel.
    messages: BTreeMap<Channel, Message>,
}

#[derive(Default)]
struct Message {
    tag: u64,
    size: u64,
    body: Vec<u8>,
}

impl Broker {
    pub fn new(from: From, requests: &Requests) -> Broker {
        Broker { from, requests: requests.clone(), rest: Vec::new(), messages: BTreeMap::new() }
    }

    fn scan(&mut self, bytes: &[u8]) -> Reached {
        self.rest.extend_from_slice(bytes);
        let mut reached = Reached::default();
        while let Some(length) = whole_frame(&self.rest) {
            let frame: Vec<u8> = self.rest.drain(..length).collect();
            // A client first sends a protocol header, which has the length of an empty frame.
            let (kind, channel, words) = (frame[0], [frame[1], frame[2]], &frame[7..length - 1]);
            match (self.from, kind, words) {
                (From::Worker, METHOD, [0, 60, 0, 40, ..]) => reached.points.push(Point::Publish),
                (From::Worker, METHOD, [0, 60, 0, 80, tag @ .., bits]) => {
                    let requests = self.requests.acknowledge(channel, number(tag), bits & 1 == 1);
                    let point = if requests.is_empty() { Point::Acknowledgement } else { Point::Answer };
                    reached.points.push(point);
                    reached.requests.extend(requests);
                }
                (From::Server, METHOD, [0, 60, 0, 80, ..]) => reached.points.push(Point::Confirm),
                (From::Server, METHOD, [0, 60, 0, 60, consumer, rest @ ..]) => {
                    reached.points.push(Point::Delivery);
                    let tag = rest.get(usize::from(*consumer)..).unwrap_or_default();
                    self.messages.insert(channel, Message { tag: number(tag), ..Message::default() });
                }
                (From::Server, HEADER, [0, 60, _, _, size @ ..]) => {
                    self.messages.entry(channel).or_default().size = number(size);
                }
                (From::Server, BODY, body) => {
                    let message = self.messages.entry(channel).or_default();
                    message.body.extend_from_slice(body);
                    if message.body.len() as u64 == message.size {
                        self.requests.deliver(channel, message.tag, &message.body);
                    }
                }
                _ => {}
            }
        }
        reached
    }
}

/// The types of frames.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;

/// Returns the length of the first frame once it is complete.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"AMQP") {
        return (bytes.len() >= 8).then_some(8);
    }
    let size: [u8; 4] = bytes.get(3..7)?.try_into().ok()?;
    let length = 7 + u32::from_be_bytes(size) as usize + 1;
    (bytes.len() >= length).then_some(length)
}

/// Returns the number in the first eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
