//! What goes over a worker's connections, as far as a disturbance waits for it.

/// The moments of a worker's life that can be told by its wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A transaction's commit is on its way to the database.
    Commit,
    /// It has happened, and the answer is on its way back.
    Committed,
    /// A message is on its way to the broker.
    Publish,
    /// The broker has it, and the confirm is on its way back.
    Confirm,
    /// A message is on its way to the worker.
    Delivery,
    /// The acknowledgement of a step is on its way to the broker.
    Acknowledgement,
    /// The same of a request, which nobody else has: its outcome must stand by now.
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

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Worker,
    Server,
}

/// Finds the points in one direction of a connection.
pub enum Scanner {
    /// PostgreSQL: the statement and the tag of its answer are the same word, with a zero behind it.
    Database(From),
    /// AMQP 0-9-1: a frame is a type, a channel, a size, as many bytes, and an end mark.
    Broker { from: From, rest: Vec<u8>, takes_requests: bool },
}

impl Scanner {
    pub fn points(&mut self, bytes: &[u8]) -> Vec<Point> {
        match self {
            Scanner::Database(from) => {
                let word = b"COMMIT\0";
                let is_there = bytes.windows(word.len()).any(|window| window == word);
                let point = if *from == From::Worker { Point::Commit } else { Point::Committed };
                Vec::from_iter(is_there.then_some(point))
            }
            Scanner::Broker { from, rest, takes_requests } => {
                rest.extend_from_slice(bytes);
                let mut points = Vec::new();
                while let Some((length, method)) = whole_frame(rest) {
                    *takes_requests |= method == Some(CONSUME) && names_requests(&rest[..length]);
                    let point = method.and_then(|method| point_of(*from, method));
                    points.extend(point.map(|point| match point {
                        Point::Acknowledgement if *takes_requests => Point::Answer,
                        point => point,
                    }));
                    rest.drain(..length);
                }
                points
            }
        }
    }
}

/// The class and method by which a worker begins to take from a queue; each queue has a connection of its own.
const CONSUME: [u8; 4] = [0, 60, 0, 20];

fn names_requests(frame: &[u8]) -> bool {
    let name = b".requests";
    frame.windows(name.len()).any(|window| window == name)
}

/// The length of the first frame, once all of it is here, and the class and method of one that is a method.
fn whole_frame(bytes: &[u8]) -> Option<(usize, Option<[u8; 4]>)> {
    if bytes.starts_with(b"AMQP") {
        return (bytes.len() >= 8).then_some((8, None));
    }
    let size: [u8; 4] = bytes.get(3..7)?.try_into().ok()?;
    let length = 7 + u32::from_be_bytes(size) as usize + 1;
    let frame = bytes.get(..length)?;
    let method = if frame[0] == 1 { frame.get(7..11).and_then(|method| method.try_into().ok()) } else { None };
    Some((length, method))
}

fn point_of(from: From, method: [u8; 4]) -> Option<Point> {
    match (from, method) {
        (From::Worker, [0, 60, 0, 40]) => Some(Point::Publish),
        (From::Worker, [0, 60, 0, 80]) => Some(Point::Acknowledgement),
        (From::Server, [0, 60, 0, 80]) => Some(Point::Confirm),
        (From::Server, [0, 60, 0, 60]) => Some(Point::Delivery),
        _ => None,
    }
}
