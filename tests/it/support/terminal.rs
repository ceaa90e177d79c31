//! Commands at a pseudo-terminal, where they ask as they ask a person.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::process::{Ended, finish, unconfirmed};

/// The key that ends the input.
pub const END_OF_INPUT: &str = "\u{4}";

/// Runs a command at a terminal where a person types these keys. `err` holds what the terminal shows.
pub fn at_a_terminal(environment: &[(&str, &str)], arguments: &[&str], keys: &str) -> Ended {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&master).expect("its rights");
    unlockpt(&master).expect("its lock");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let slave = File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).expect("its other end");
    let mut command = unconfirmed(environment, arguments);
    command.stdin(Stdio::from(slave.try_clone().expect("a handle"))).stderr(Stdio::from(slave));
    let child = command.spawn().expect("the binary");
    // The command holds the other end too. The reader below sees its end only when nobody holds it.
    drop(command);
    let mut master = File::from(master);
    let mut reader = master.try_clone().expect("a handle");
    let shown = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // On Linux the end is an error.
        let _ = reader.read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).replace("\r\n", "\n")
    });
    // The terminal keeps the keys until the command reads them.
    master.write_all(keys.as_bytes()).expect("the keys");
    let ended = finish(child, b"");
    Ended { err: shown.join().expect("what the terminal shows"), ..ended }
}
