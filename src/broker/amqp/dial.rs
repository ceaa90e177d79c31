//! Opening connections to RabbitMQ.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, ConnectionProperties, ErrorKind, Event};

use super::address::{addresses, shown};
use super::errors::{self, code};
use super::health::Purpose;
use super::settings::AmqpSettings;
use super::tls;
use crate::broker::error::BrokerError;

/// The time limit for closing a connection in order. A blocked connection never could.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// An open connection.
#[derive(Clone)]
pub(super) struct Connection {
    inner: Arc<lapin::Connection>,
    socket: Socket,
    address: Arc<str>,
}

impl Connection {
    pub(super) fn is_open(&self) -> bool {
        self.inner.status().connected()
    }

    /// Returns true if the broker has stopped accepting messages here. lapin then writes nothing at all on this connection.
    pub(super) fn is_blocked(&self) -> bool {
        self.inner.status().blocked()
    }

    pub(super) fn is_same(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Returns the broker's address without credentials.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn events(&self) -> impl Stream<Item = Event> + Unpin + Send + '_ {
        self.inner.events_listener()
    }

    pub(super) async fn open_channel(&self) -> Result<lapin::Channel, BrokerError> {
        self.inner.create_channel().await.map_err(|error| errors::unreachable(&error))
    }

    /// Ends the connection at once. Everything that waits on it fails, and the supervisor reconnects.
    pub(super) fn cut(&self) {
        self.socket.cut();
    }

    pub(super) async fn close(&self) {
        if !self.is_blocked() {
            // Without an answer the connection is cut anyway.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.inner.close(200, "goodbye".into())).await;
        }
        self.cut();
    }
}

/// Opens a connection to the first address that accepts it. Starts at a random address, so that workers spread over the
/// nodes of a cluster and skip a node that is down.
pub(super) async fn dial(settings: &AmqpSettings, purpose: Purpose) -> Result<Connection, BrokerError> {
    let mut addresses = addresses(settings)?;
    let first = uuid::Uuid::new_v4().as_u128() % addresses.len() as u128;
    addresses.rotate_left(first as usize);
    let mut failure = None;
    for uri in addresses {
        match dial_one(settings, purpose, uri).await {
            Ok(connection) => return Ok(connection),
            // An error that a person must fix outranks a node that is down.
            Err(_) if matches!(failure, Some(BrokerError::Configuration(_))) => {}
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| BrokerError::Configuration("`broker.url` has no address".into())))
}

/// Opens one connection. No other function does.
async fn dial_one(settings: &AmqpSettings, purpose: Purpose, uri: AMQPUri) -> Result<Connection, BrokerError> {
    let address = shown(&uri);
    let user = uri.authority.userinfo.username.clone();
    let limit = settings.connect_timeout;
    let name = format!("{} {} (process {})", settings.prefix, purpose.name(), std::process::id());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = lapin::runtime::default_runtime().map_err(|error| errors::unreachable(&error))?;
    let socket = Socket::default();
    let tls = match uri.scheme {
        AMQPScheme::AMQP => None,
        AMQPScheme::AMQPS => Some(tls::connector(&settings.tls).await?),
    };

    let held = socket.clone();
    let connecting = lapin::Connection::connector(
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
        Ok(Ok(connection)) => Ok(Connection { inner: Arc::new(connection), socket, address: address.into() }),
        Ok(Err(error)) => Err(not_connected(&address, &user, &error)),
        Err(_) => {
            socket.cut();
            Err(BrokerError::Unreachable(format!("{address} did not answer within {limit:?}")))
        }
    }
}

fn not_connected(address: &str, user: &str, error: &lapin::Error) -> BrokerError {
    match errors::reply(error) {
        Some((code::ACCESS_REFUSED, _)) => BrokerError::Configuration(format!(
            "RabbitMQ at {address} refused the login of user `{user}`: check the user and password in `broker.url`"
        )),
        Some((code::NOT_ALLOWED, text)) => BrokerError::Configuration(format!(
            "RabbitMQ at {address} refused user `{user}` ({text}): check the virtual host in `broker.url`, and the user's \
             permissions there"
        )),
        _ if matches!(error.kind(), ErrorKind::IOError(error) if error.kind() == io::ErrorKind::InvalidData) => {
            BrokerError::Configuration(format!("no TLS connection to {address}: {}", errors::message(error)))
        }
        _ => BrokerError::Unreachable(format!("{address}: {}", errors::message(error))),
    }
}

/// A second handle on a connection's socket. lapin drives the socket in its own thread and releases it only when something is
/// read or refused. A handshake without an answer, or a blocked connection, would otherwise keep thread and socket.
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
            // An error means that the connection has already ended.
            let _ = handle.shutdown(Shutdown::Both);
        }
    }
}
