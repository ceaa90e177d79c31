//! Searches output for passwords. The storm uses it too.

use std::path::Path;

/// Returns the passwords in settings, as they are and URL-encoded. A password that equals the user name is skipped.
pub fn of(settings: &[(String, String)]) -> Vec<String> {
    let mut secrets = Vec::new();
    for url in settings.iter().filter_map(|(_, value)| url::Url::parse(value).ok()) {
        let Some(written) = url.password().filter(|password| *password != url.username()) else { continue };
        let form = format!("p={}", written.replace('+', "%2B"));
        let plain = url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned());
        secrets.push(written.to_owned());
        secrets.extend(plain);
    }
    secrets.sort();
    secrets.dedup();
    secrets
}

/// Searches a text for the secrets, and reports the line of a hit.
pub fn are_not_in(secrets: &[String], what: &str, text: &str) -> Result<(), String> {
    match secrets.iter().find(|secret| text.contains(secret.as_str())) {
        Some(secret) => Err(format!("{what} holds a password: {}", around(text, secret))),
        None => Ok(()),
    }
}

/// Searches every file of a folder, such as the logs of workers or of a storm.
pub fn are_not_in_files(secrets: &[String], folder: &Path) -> Result<(), String> {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => are_not_in_files(secrets, &path)?,
            false => {
                let bytes = std::fs::read(&path).expect("a file");
                are_not_in(secrets, &path.display().to_string(), &String::from_utf8_lossy(&bytes))?;
            }
        }
    }
    Ok(())
}

/// Searches the command lines of all processes.
pub fn are_not_in_the_process_list(secrets: &[String]) -> Result<(), String> {
    for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
        // A process may have ended since.
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        are_not_in(secrets, "the process list", &String::from_utf8_lossy(&command))?;
    }
    Ok(())
}

fn around<'t>(text: &'t str, secret: &str) -> &'t str {
    text.lines().find(|line| line.contains(secret)).unwrap_or_default()
}
