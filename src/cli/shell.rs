//! `handover completions` and `handover man`: files for shells and for the manual.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::Exit;
use super::output;

#[derive(Debug, Args)]
pub struct CompletionArguments {
    /// The shell.
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArguments {
    /// The command whose page is printed. Default: that of the program.
    #[arg(conflicts_with = "directory")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

/// Prints the completions of a shell for the program `defined`.
pub fn completions(arguments: &CompletionArguments, mut defined: Command) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut defined, "handover", &mut script);
    output::lines(String::from_utf8(script)?.trim_end())?;
    Ok(Exit::Done)
}

/// Prints a page of the manual of the program `defined`, or writes all pages.
pub fn man(arguments: ManArguments, mut defined: Command) -> Result<Exit> {
    if let Some(folder) = arguments.directory {
        let written = std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(defined, &folder));
        written.with_context(|| format!("the pages cannot be written to {}", folder.display()))?;
        return Ok(Exit::Done);
    }
    defined.build();
    for name in &arguments.command {
        defined = match defined.find_subcommand(name) {
            Some(found) => found.clone(),
            None => bail!("there is no command {name:?}: `handover --help` lists all commands"),
        };
    }
    let mut page = Vec::new();
    Man::new(defined).render(&mut page)?;
    output::lines(String::from_utf8(page)?.trim_end())?;
    Ok(Exit::Done)
}
