//! Passwords, and that nothing which was written holds one. The storm looks through what it wrote with this, too.

use std::path::Path;

/// The passwords in settings, each as it is and as a URL writes it. One that is also the user's name says nothing.
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

/// Looks for the secrets in a text; where it holds one, says so, with the line.
pub fn are_not_in(secrets: &[String], what: &str, text: &str) -> Result<(), String> {
    match secrets.iter().find(|secret| text.contains(secret.as_str())) {
        Some(secret) => Err(format!("{what} holds a password: {}", around(text, secret))),
        None => Ok(()),
    }
}

/// Looks for them in every file of a folder: what a worker logged, what a storm wrote.
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

/// Looks for them in the command lines of all processes.
pub fn are_not_in_the_process_list(secrets: &[String]) -> Result<(), String> {
    for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
        // A process may have ended meanwhile.
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        are_not_in(secrets, "the process list", &String::from_utf8_lossy(&command))?;
    }
    Ok(())
}

fn around<'t>(text: &'t str, secret: &str) -> &'t str {
    text.lines().find(|line| line.contains(secret)).unwrap_or_default()
}
