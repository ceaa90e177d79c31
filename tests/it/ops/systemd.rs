//! The notifications that a worker sends to systemd, on a socket of the test.

use handover::job::State;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::support::process::{WorkerProcess, borrowed, run, settings, start_worker, text};
use crate::support::world::{LIMIT, keap_request};
use crate::support::{World, every_engine};

/// The notifications that a service manager received.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(socket: &Path) -> Manager {
        let socket = UnixDatagram::bind(socket).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        Manager(socket)
    }

    fn hears(&self) -> String {
        let mut buffer = [0; 512];
        let bytes = tokio::task::block_in_place(|| self.0.recv(&mut buffer)).expect("a notification within the limit");
        String::from_utf8_lossy(&buffer[..bytes]).trim_end().to_owned()
    }

    fn hears_nothing(&self) -> bool {
        self.0.set_nonblocking(true).expect("a setting");
        self.0.recv(&mut [0; 512]).is_err()
    }
}

fn start(world: &World, socket: &Path) -> WorkerProcess {
    start_worker(world, &[("NOTIFY_SOCKET", text(socket)), ("WATCHDOG_USEC", "100000")])
}

#[every_engine]
async fn worker_notifies_systemd(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let manager = Manager::listen(&socket);
    let worker = start(world, &socket);
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!((manager.hears().as_str(), manager.hears().as_str()), ("WATCHDOG=1", "WATCHDOG=1"));
    assert_eq!(world.hand_over(&keap_request("r1")).await.state, State::Completed);
    // A manager that does not read would block the worker.
    let stopping = std::thread::spawn(|| worker.stop());
    let words = std::iter::repeat_with(|| manager.hears()).find(|word| word != "WATCHDOG=1");
    assert_eq!(words.as_deref(), Some("STOPPING=1"));
    assert_eq!(stopping.join().expect("an end"), 0);
}

#[every_engine]
async fn failed_start_never_reports_ready(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let manager = Manager::listen(&socket);
    let settings = settings(world);
    let wrong = [("NOTIFY_SOCKET", text(&socket)), ("HANDOVER_CATALOG", "no-such-catalog")];
    tokio::task::block_in_place(|| run(&[borrowed(&settings), wrong.to_vec()].concat(), &["run"])).expect(1);
    assert!(manager.hears_nothing());
}
