//! The terminal of a live view: drawn in place, and left as it was.

use std::io::{self, IsTerminal, Read, Stdout, Write};

use anyhow::{Context, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Opens the alternate screen, without a cursor.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";

/// Returns to the screen as it was before.
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// Moves to the first place.
const HOME: &str = "\u{1b}[H";

/// Clears the rest of a line.
const CLEAR_LINE: &str = "\u{1b}[K";

/// Clears what is below.
const CLEAR_BELOW: &str = "\u{1b}[J";

/// The keys that end a view. Ctrl-C is a key, too, while keys are read one by one.
const QUIT: [u8; 3] = [b'q', b'Q', 3];

/// The size of a terminal that tells none.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// A terminal that shows a live view. Dropping it restores the terminal.
pub struct Screen {
    out: Stdout,
    /// The modes of the input before; none if the input is no terminal.
    before: Option<Termios>,
    quit: mpsc::Receiver<()>,
}

impl Screen {
    /// Returns true if the output is a terminal that can be drawn on.
    pub fn is_possible() -> bool {
        io::stdout().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb")
    }

    /// Takes the terminal over.
    pub fn open() -> Result<Screen> {
        let before = match io::stdin().is_terminal() {
            true => Some(tcgetattr(io::stdin()).context("reading the terminal's modes")?),
            false => None,
        };
        let (sender, quit) = mpsc::channel(1);
        let mut screen = Screen { out: io::stdout(), before, quit };
        if let Some(before) = &screen.before {
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
            tcsetattr(io::stdin(), OptionalActions::Now, &modes).context("setting the terminal's modes")?;
            // Not joined: the read ends with the process.
            std::thread::spawn(move || send_quit(&sender));
        }
        screen.write(ENTER)?;
        Ok(screen)
    }

    /// Returns the columns and the lines.
    pub fn size() -> (usize, usize) {
        let size = terminal_size::terminal_size().map(|(width, height)| (width.0, height.0));
        let (columns, lines) = size.filter(|(columns, lines)| *columns > 0 && *lines > 0).unwrap_or(USUAL_SIZE);
        (columns.into(), lines.into())
    }

    /// Draws these lines over the last ones.
    pub fn draw(&mut self, lines: &[String]) -> Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}{CLEAR_LINE}")).collect();
        self.write(&format!("{HOME}{}{CLEAR_BELOW}", lines.join("\r\n")))
    }

    /// Waits for a key that ends the view. Without a keyboard it waits for ever.
    pub async fn quit(&mut self) {
        if self.quit.recv().await.is_none() {
            std::future::pending().await
        }
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = self.write(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Reads keys until one ends the view.
fn send_quit(sender: &mpsc::Sender<()>) {
    let is_quit = |key: io::Result<u8>| key.is_ok_and(|key| QUIT.contains(&key));
    if io::stdin().lock().bytes().any(is_quit) {
        let _ = sender.blocking_send(());
    }
}
