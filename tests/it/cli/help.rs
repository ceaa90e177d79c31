//! Help, completions, manual pages and the file of settings: what a newcomer meets first.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::leaf_commands;
use crate::support::process::{run, text};

#[test]
fn help_fits_the_terminal() {
    let narrow = [("COLUMNS", "80")];
    let mut commands: Vec<String> = leaf_commands().into_iter().map(|(name, _)| name).collect();
    commands.extend(["", "dead", "catalog"].map(str::to_owned));
    for name in commands {
        let arguments: Vec<&str> = name.split_whitespace().chain(["--help"]).collect();
        let help = run(&narrow, &arguments).expect(0).out;
        let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
        let is_example = |line: &&str| line.starts_with("  handover ");
        assert!(long.iter().all(is_example), "{name}: {long:?}");
        let is_leaf = !["", "dead", "catalog"].contains(&name.as_str());
        assert_eq!(help.contains("Examples:\n  handover"), is_leaf, "{name}: {help}");
    }
}

#[test]
fn misspelled_commands_are_suggested_and_habits_understood() {
    for (written, meant) in [("lsit", "list"), ("submti", "submit"), ("revret", "revert"), ("statsu", "status")] {
        let ended = run(&[], &[written]).expect(2);
        assert!(ended.err.contains(&format!("'{meant}'")), "{written}: {}", ended.err);
    }
    for (alias, command) in
        [("ls", "jobs"), ("status", "job"), ("undo", "revert"), ("plan", "preview"), ("dlq", "dead")]
    {
        let (aliased, named) = (run(&[], &[alias, "--help"]).expect(0), run(&[], &[command, "--help"]).expect(0));
        assert_eq!(aliased.out, named.out, "{alias}");
        assert!(alias == "dlq" || named.out.contains("Other names: "), "{command}: {}", named.out);
    }
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&[], &["completions", shell]).expect(0).out;
        for part in ["completions", "time-zone"] {
            assert!(script.contains(part), "{shell}: {part} is missing");
        }
        if shell == "bash" {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash");
            std::io::Write::write_all(bash.stdin.as_mut().expect("its input"), script.as_bytes()).expect("written");
            assert!(bash.wait().expect("an end").success());
        }
    }
}

#[test]
fn manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man");
    run(&[], &["man", "--directory", text(&pages)]).expect(0);
    for (name, _) in leaf_commands() {
        let page = pages.join(format!("handover-{}.1", name.replace(' ', "-")));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(page.starts_with(".ie") && page.contains(".SH NAME") && page.contains("Examples"), "{name}: {page}");
    }
    assert!(run(&[], &["man", "dead", "list"]).expect(0).out.contains("dead\\-list"));
    assert!(run(&[], &["man"]).expect(0).out.contains("Offboards users"));
    let unknown = run(&[], &["man", "fly"]).expect(1);
    assert!(unknown.err.contains("there is no command"), "{}", unknown.err);
}

#[test]
fn init_writes_settings_that_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("handover.toml");
    let database = format!("sqlite://{}?mode=rwc", folder.path().join("app \"1\".db").display());
    let init = ["init", text(&file), "--database", &database, "--catalog", "apto"];
    let written = run(&[], &init).expect(0).out;
    assert!(written.contains("export HANDOVER_CONFIG="), "{written}");
    let content = std::fs::read_to_string(&file).expect("the file");
    assert!(content.contains("catalog = \"apto\"\n") && content.contains("\n# max_connections = 16\n"), "{content}");
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    for name in handover::config::names() {
        let name = name.rsplit('.').next().expect("a name");
        assert!(content.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = "))), "{name}");
    }
    let config = [("HANDOVER_CONFIG", text(&file))];
    let migrated = run(&config, &["migrate"]).expect(0);
    assert!(migrated.err.contains("app \"1\".db; catalog apto"), "{}", migrated.err);
    assert!(run(&[], &["--config", text(&file), "jobs"]).expect(0).err.contains("catalog apto"));

    let again = run(&[], &init).expect(1);
    assert!(again.err.contains("exists already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), content);
    let other = folder.path().join("other.toml");
    let wrong = run(&[], &["init", text(&other), "--database", "mysql://me:s3cret@host/db"]).expect(1);
    assert!(wrong.err.contains("`database.url`") && !wrong.err.contains("s3cret") && !other.exists(), "{}", wrong.err);
    let missing = [("HANDOVER_CONFIG", "no-such-file.toml")];
    assert!(run(&missing, &["jobs"]).expect(1).err.contains("no-such-file.toml"));
}
