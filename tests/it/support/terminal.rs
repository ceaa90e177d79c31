//! Commands at a pseudo-terminal, where they ask as they ask a person.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::process::{Ended, finish, unconfirmed};

/// The key that ends the input.
pub const END_OF_INPUT: &str = "\u{4}";

/// Opens a pseudo-terminal: the person's end, and the end of the command.
fn open() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&master).expect("its rights");
    unlockpt(&master).expect("its lock");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let slave = File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).expect("its other end");
    (File::from(master), slave)
}

/// Collects what a terminal shows until nobody holds the other end.
fn collect(master: &File) -> (Arc<Mutex<Vec<u8>>>, JoinHandle<()>) {
    let mut reader = master.try_clone().expect("a handle");
    let shown = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&shown);
    let thread = std::thread::spawn(move || {
        let mut part = [0; 4096];
        // On Linux the end is an error.
        while let Ok(read @ 1..) = reader.read(&mut part) {
            collected.lock().expect("no panic").extend_from_slice(&part[..read]);
        }
    });
    (shown, thread)
}

fn text(shown: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&shown.lock().expect("no panic")).replace("\r\n", "\n")
}

/// Runs a command at a terminal where a person types these keys. `err` holds what the terminal shows.
pub fn at_a_terminal(environment: &[(&str, &str)], arguments: &[&str], keys: &str) -> Ended {
    let (mut master, slave) = open();
    let mut command = unconfirmed(environment, arguments);
    command.stdin(Stdio::from(slave.try_clone().expect("a handle"))).stderr(Stdio::from(slave));
    let child = command.spawn().expect("the binary");
    // The command holds the other end too. The reader below sees its end only when nobody holds it.
    drop(command);
    let (shown, thread) = collect(&master);
    // The terminal keeps the keys until the command reads them.
    master.write_all(keys.as_bytes()).expect("the keys");
    let ended = finish(child, b"");
    thread.join().expect("what the terminal shows");
    Ended { err: text(&shown), ..ended }
}

/// A command whose input and output are a terminal, while it runs.
pub struct Session {
    child: Child,
    master: File,
    slave: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Session {
    /// Starts a command at a terminal of this size.
    pub fn start(environment: &[(&str, &str)], arguments: &[&str], (columns, lines): (u16, u16)) -> Session {
        let (master, slave) = open();
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size).expect("a size");
        let handle = || Stdio::from(slave.try_clone().expect("a handle"));
        let mut command = unconfirmed(environment, arguments);
        command.env("TERM", "xterm").stdin(handle()).stdout(handle()).stderr(Stdio::null());
        let child = command.spawn().expect("the binary");
        let (shown, _) = collect(&master);
        Session { child, master, slave, shown }
    }

    /// Returns everything that the terminal was sent.
    pub fn shown(&self) -> String {
        text(&self.shown)
    }

    /// Returns the last whole picture, without the codes that draw it.
    pub fn picture(&self) -> String {
        let shown = self.shown();
        let pictures: Vec<&str> = shown.split("\u{1b}[H").collect();
        let whole = pictures.iter().rev().find_map(|picture| Some(picture.split_once("\u{1b}[J")?.0));
        whole.unwrap_or_default().replace("\u{1b}[K", "")
    }

    /// Types keys.
    pub fn type_keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the keys");
    }

    /// Waits for the end, and returns the exit code. Afterwards the terminal must echo what is typed, line by line.
    pub fn end(&mut self) -> i32 {
        let status = self.child.wait().expect("an end");
        let modes = tcgetattr(&self.slave).expect("the modes").local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "{modes:?}");
        status.code().unwrap_or(-1)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
