//! One connection to RabbitMQ: opening it, watching it, replacing it when it ends.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::broken_queue::Watch;
use super::errors::{self, code};
use super::health::{Health, Role};
use super::{AmqpSettings, BrokerError, tls};
use crate::metrics;
use crate::retry::{Retries, RetryPolicy};

/// How long a connection is given to say goodbye. A blocked one never could.
const GOODBYE: Duration = Duration::from_secs(5);

/// How often a connection is looked at besides listening to what it tells.
const GLANCE: Duration = Duration::from_secs(1);

/// The connection for one role, whichever it is just now. Ends with the token it was opened with.
#[derive(Clone)]
pub(super) struct Link {
    role: Role,
    current: watch::Receiver<Option<Live>>,
}

impl Link {
    /// Connects once, and from then on rebuilds what is lost; of one that consumes, somebody watches how it is lost.
    pub(super) async fn open(
        role: Role,
        watch: Option<Watch>,
        settings: Arc<AmqpSettings>,
        health: Arc<Health>,
        closing: CancellationToken,
    ) -> Result<Link, BrokerError> {
        let live = dial(&settings, role).await?;
        let (sender, current) = watch::channel(Some(live.clone()));
        tokio::spawn(Supervisor { role, watch, settings, health, closing }.run(live, sender));
        Ok(Link { role, current })
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// The connection, if there is one now.
    pub(super) fn current(&self) -> Result<Live, BrokerError> {
        if let Some(live) = self.current.borrow().as_ref().filter(|live| live.is_open()) {
            return Ok(live.clone());
        }
        let what = if self.current.has_changed().is_ok() { "is being rebuilt" } else { "was closed" };
        Err(BrokerError::Unreachable(format!("the connection for {} {what}", self.role.name())))
    }

    /// The connection, waiting for it; `None` once there will be no other.
    pub(super) async fn connected(&self) -> Option<Live> {
        let mut current = self.current.clone();
        let open = |live: &Option<Live>| live.as_ref().is_some_and(Live::is_open);
        current.wait_for(open).await.ok().and_then(|live| live.clone())
    }

    /// Waits until the supervisor has closed the connection for good.
    pub(super) async fn ended(&self) {
        let mut current = self.current.clone();
        while current.changed().await.is_ok() {}
    }
}

/// A connection as long as it lasts.
#[derive(Clone)]
pub(super) struct Live {
    connection: Arc<Connection>,
    socket: Socket,
    place: Arc<str>,
}

impl Live {
    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether the broker has told us to stop publishing. lapin then writes nothing at all on this connection.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    pub(super) fn is_same(&self, other: &Live) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection)
    }

    /// Where it leads, without credentials.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) async fn open_channel(&self) -> Result<lapin::Channel, BrokerError> {
        self.connection.create_channel().await.map_err(|error| errors::unreachable(&error))
    }

    /// Ends it at once. Whatever waits on it fails, and the supervisor builds another.
    pub(super) fn cut(&self) {
        self.socket.cut();
    }

    pub(super) async fn close(&self) {
        if !self.is_blocked() {
            // Without an answer it ends all the same.
            let _ = tokio::time::timeout(GOODBYE, self.connection.close(200, "goodbye".into())).await;
        }
        self.cut();
    }

    /// Tells the health of blocking until the connection has ended, and why it did.
    async fn end(&self, health: &Health, role: Role) -> String {
        let mut events = self.connection.events_listener();
        let mut glances = tokio::time::interval(GLANCE);
        let mut has_ended = false;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = glances.tick() => None,
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(role = role.name(), reason, "RabbitMQ blocks publishers: waiting until it does not");
                    health.blocked(Some(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!(role = role.name(), "RabbitMQ takes messages again");
                    health.blocked(None);
                }
                // Errors of single channels come here too.
                Some(Event::Error(error)) if !self.is_open() => return errors::words(&error),
                // Why it ended may be told a moment later.
                None if has_ended => return "it ended".into(),
                None => has_ended = !self.is_open(),
                _ => {}
            }
        }
    }
}

/// Replaces a connection as often as it ends.
struct Supervisor {
    role: Role,
    watch: Option<Watch>,
    settings: Arc<AmqpSettings>,
    health: Arc<Health>,
    closing: CancellationToken,
}

impl Supervisor {
    async fn run(mut self, mut live: Live, current: watch::Sender<Option<Live>>) {
        let (role, closing) = (self.role, self.closing.clone());
        let mut retries = RetryPolicy::RECONNECT.start("connecting to RabbitMQ");
        let mut begun = Instant::now();
        while let Some(reason) = closing.run_until_cancelled(live.end(&self.health, role)).await {
            tracing::warn!(role = role.name(), broker = live.place(), reason, "connection lost, connecting again");
            self.health.lost(role, reason.clone());
            current.send_replace(None);
            live.cut();
            retries.reset_if_lasted(begun.elapsed());
            let next = async {
                if let Some(watch) = &mut self.watch {
                    watch.ended(&reason, begun.elapsed()).await;
                }
                self.dial_again(&mut retries).await
            };
            let Some(next) = closing.run_until_cancelled(next).await else { break };
            live = next;
            begun = Instant::now();
            tracing::info!(role = role.name(), broker = live.place(), "connected again");
            metrics::reconnected(role.name());
            self.health.connected(role);
            current.send_replace(Some(live.clone()));
        }
        self.health.lost(role, "it was closed".into());
        current.send_replace(None);
        live.close().await;
    }

    /// Pauses before each attempt, the first one too: a connection that is made and lost at once must not spin.
    async fn dial_again(&mut self, retries: &mut Retries) -> Live {
        let mut failure = String::from("the connection was lost");
        loop {
            retries.wait_after(&failure).await;
            match dial(&self.settings, self.role).await {
                Ok(live) => return live,
                Err(error) => failure = errors::reason(&error),
            }
            self.health.lost(self.role, failure.clone());
            if let Some(watch) = &mut self.watch {
                watch.away();
            }
        }
    }
}

/// Opens a connection to the first of the addresses that lets us in, from any of them on: workers spread over the nodes of a
/// cluster, and leave one that is away.
pub(super) async fn dial(settings: &AmqpSettings, role: Role) -> Result<Live, BrokerError> {
    let mut addresses = addresses(settings)?;
    let first = uuid::Uuid::new_v4().as_u128() % addresses.len() as u128;
    addresses.rotate_left(first as usize);
    let mut failure = None;
    for uri in addresses {
        match dial_one(settings, role, uri).await {
            Ok(live) => return Ok(live),
            // What a person has to fix is told rather than that another node is away.
            Err(error) => match failure {
                Some(BrokerError::Configuration(_)) => {}
                _ => failure = Some(error),
            },
        }
    }
    Err(failure.unwrap_or_else(|| BrokerError::Configuration("`broker.url` holds no address".into())))
}

/// Opens a connection. The only place that does.
async fn dial_one(settings: &AmqpSettings, role: Role, uri: AMQPUri) -> Result<Live, BrokerError> {
    let place = shown(&uri);
    let user = uri.authority.userinfo.username.clone();
    let limit = settings.connect_timeout;
    let name = format!("{} {} (process {})", settings.prefix, role.name(), std::process::id());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = lapin::runtime::default_runtime().map_err(|error| errors::unreachable(&error))?;
    let socket = Socket::default();
    let tls = match uri.scheme {
        AMQPScheme::AMQP => None,
        AMQPScheme::AMQPS => Some(tls::connector(&settings.tls).await?),
    };

    let held = socket.clone();
    let connecting = Connection::connector(
        uri,
        runtime,
        async move |uri, runtime| {
            let connect = async {
                let host = (uri.authority.host.clone(), uri.authority.port);
                let stream = AsyncTcpStream::connect(&runtime, runtime.to_socket_addrs(host)).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    held.hold(plain.get_ref())?;
                }
                match &tls {
                    None => Ok(stream),
                    Some(tls) => stream.into_rustls(tls, &uri.authority.host).await,
                }
            };
            let connected = tokio::time::timeout(limit, connect).await;
            Ok(connected.unwrap_or_else(|elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)))?)
        },
        properties,
    );
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(connection)) => Ok(Live { connection: Arc::new(connection), socket, place: place.into() }),
        Ok(Err(error)) => Err(not_connected(&place, &user, &error)),
        Err(_) => {
            socket.cut();
            Err(BrokerError::Unreachable(format!("{place} does not answer within {limit:?}")))
        }
    }
}

fn not_connected(place: &str, user: &str, error: &lapin::Error) -> BrokerError {
    match errors::said_by_broker(error) {
        Some((code::ACCESS_REFUSED, _)) => BrokerError::Configuration(format!(
            "RabbitMQ at {place} refuses the login of the user `{user}`: check user and password in `broker.url`"
        )),
        Some((code::NOT_ALLOWED, words)) => BrokerError::Configuration(format!(
            "RabbitMQ at {place} does not let the user `{user}` in ({words}): check the virtual host in `broker.url`, \
             and the user's permissions there"
        )),
        _ if matches!(error.kind(), ErrorKind::IOError(error) if error.kind() == io::ErrorKind::InvalidData) => {
            BrokerError::Configuration(format!("no TLS connection to {place}: {}", errors::words(error)))
        }
        _ => BrokerError::Unreachable(format!("{place}: {}", errors::words(error))),
    }
}

/// The addresses in the settings: one, or those of a cluster's nodes with commas between them. A password may hold a comma,
/// so that only one before another scheme counts.
fn addresses(settings: &AmqpSettings) -> Result<Vec<AMQPUri>, BrokerError> {
    let url = settings.url.replace(", amqp", ",amqp").replace(",amqp", "\namqp");
    url.lines().map(|url| address(url.trim(), settings)).collect()
}

/// An address, with the heartbeat. No error repeats the URL: it holds a password.
fn address(text: &str, settings: &AmqpSettings) -> Result<AMQPUri, BrokerError> {
    let wrong = |why: &dyn std::fmt::Display| {
        BrokerError::Configuration(format!(
            "`broker.url` is not an address of the form amqp://user:password@host:port/virtual-host: {why}"
        ))
    };
    let url = url::Url::parse(text).map_err(|error| wrong(&error))?;
    let mut uri: AMQPUri = match url.scheme() {
        "amqp" | "amqps" if url.has_host() => text.parse().map_err(|_| wrong(&"it cannot be read"))?,
        _ => return Err(wrong(&"it begins otherwise")),
    };
    // lapin takes an IPv6 address for `localhost`.
    if let Some(url::Host::Ipv6(host)) = url.host() {
        uri.authority.host = host.to_string();
    }
    if uri.vhost.is_empty() {
        uri.vhost = "/".into();
    }
    let heartbeat = u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
    uri.query.heartbeat.get_or_insert(heartbeat);
    Ok(uri)
}

fn shown(uri: &AMQPUri) -> String {
    let vhost = if uri.vhost == "/" { String::new() } else { format!("/{}", uri.vhost) };
    format!("{}://{}:{}{vhost}", uri.scheme, uri.authority.host, uri.authority.port)
}

/// A second handle on a connection's socket. lapin drives the socket in a thread of its own and lets go of it only when
/// something is read or refused: a handshake without an answer, or a blocked connection, would keep thread and socket.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Option<TcpStream>>>);

impl Socket {
    fn hold(&self, socket: &impl AsFd) -> io::Result<()> {
        let handle = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        Ok(())
    }

    fn cut(&self) {
        if let Some(handle) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // An error means that it has ended already.
            let _ = handle.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<AMQPUri, BrokerError> {
        address(url, &AmqpSettings::new(url, "handover"))
    }

    #[test]
    fn a_clusters_addresses_stand_behind_one_another_and_a_password_may_hold_a_comma() {
        let url = "amqp://me:se,cret@a:1/x,amqps://me:secret@b/x, amqp://c";
        let read = addresses(&AmqpSettings::new(url, "handover")).expect("addresses");
        let shown: Vec<String> = read.iter().map(shown).collect();
        assert_eq!(shown, ["amqp://a:1/x", "amqps://b:5671/x", "amqp://c:5672"]);
        assert_eq!(read[0].authority.userinfo.password, "se,cret");
        let error = addresses(&AmqpSettings::new("amqp://a,amqp:secret", "handover")).expect_err("a fault").to_string();
        assert!(error.contains("broker.url") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn an_address_is_shown_without_its_credentials() {
        let uri = parsed("amqps://user:secret@mq.example.org/staging?heartbeat=5").expect("an address");
        assert_eq!(shown(&uri), "amqps://mq.example.org:5671/staging");
        assert_eq!(uri.query.heartbeat, Some(5));
        assert_eq!(shown(&parsed("amqp://user:secret@[::1]:5673/").expect("an address")), "amqp://::1:5673");
        assert_eq!(parsed("amqp://host").expect("an address").vhost, "/");
    }

    #[test]
    fn a_faulty_address_is_told_without_its_password() {
        for url in ["user:secret", "http://user:secret@host", "amqp:secret", "amqp://user:secret@host:port", "secret"] {
            let error = parsed(url).expect_err(url).to_string();
            assert!(error.contains("broker.url") && !error.contains("secret"), "{error}");
        }
    }
}
