//! The binary: parses the command line, loads the settings, calls a command.

use std::process::ExitCode;

use handover::cli;

fn main() -> ExitCode {
    cli::main(cli::parse())
}
