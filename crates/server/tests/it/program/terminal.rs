//! A person's terminal: the program runs on a pseudo-terminal of its own, as its controlling one, so that what is typed
//! reaches it as it does from a keyboard, Ctrl-C included.

use super::{PATIENCE, by};
use nix::pty::{OpenptyResult, Winsize, openpty};
use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

/// Ctrl-C, as a keyboard sends it.
pub(super) const CTRL_C: &str = "\x03";

pub(super) struct Terminal {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    child: Child,
    raw: Vec<u8>,
    /// What [`Terminal::sees`] has found already.
    seen: usize,
}

impl Terminal {
    /// Runs `command` on a terminal of 100 columns.
    pub(super) fn of(command: &Command) -> Self {
        let size = Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        // `setsid --ctty` makes the terminal the controlling one, then becomes the program.
        let mut on = by(&["setsid", "--ctty"], command);
        on.env("TERM", "xterm");
        let copy = || Stdio::from(slave.try_clone().unwrap());
        let child = on.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
        // Only the program may hold that side, else its end is never seen.
        drop((on, slave));
        let keyboard = File::from(master);
        let mut reading = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The last program's end is an error on Linux.
            while let Ok(read @ 1..) = reading.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { keyboard, screen, child, raw: Vec::new(), seen: 0 }
    }

    pub(super) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until `text` is on the screen, after what was waited for before.
    #[track_caller]
    pub(super) fn sees(&mut self, text: &str) {
        loop {
            let screen = self.text();
            if let Some(at) = screen[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(more) => self.raw.extend(more),
                Err(error) => panic!("{error} while waiting for {text:?}; the screen shows\n{screen}"),
            }
        }
    }

    /// Waits for the program's end: its exit code, and all that was on the screen.
    pub(super) fn ends(mut self) -> (i32, String) {
        self.raw.extend(self.screen.iter().flatten());
        (self.child.wait().unwrap().code().expect("it exits"), self.text())
    }

    /// What a person reads: without colours and other sequences, lines as lines.
    pub(super) fn text(&self) -> String {
        let raw = String::from_utf8_lossy(&self.raw);
        let mut text = String::new();
        let mut rest = raw.chars();
        while let Some(char) = rest.next() {
            match char {
                '\x1b' => {
                    rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
                }
                '\r' => {}
                char => text.push(char),
            }
        }
        text
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
