//! A block of lines on a terminal that is drawn again and again in the same place.
//!
//! Only the cursor is moved and only lines are cleared, so there is nothing to restore when the program ends.

use console::truncate_str;

/// The block as it stands on the terminal.
#[derive(Debug, Default)]
pub struct Screen {
    /// Lines that were drawn.
    height: usize,
    /// The terminal then: rows and columns.
    size: (u16, u16),
}

impl Screen {
    /// What to write at the end: the terminal has shown the `^C` that ended it.
    pub const LEAVE: &str = "\r\x1b[K";

    /// What to write so that `lines` stand in the place of those before, cut to a terminal of `size` (rows, columns).
    pub fn draw(&mut self, lines: &[String], size: (u16, u16)) -> String {
        let (rows, columns) = (usize::from(size.0), usize::from(size.1));
        let mut text = String::new();
        if self.height > 0 && self.size != size {
            // The terminal has broken our lines anew: nobody knows where they are now.
            text.push_str("\x1b[2J\x1b[H");
        } else if self.height > 0 {
            text = format!("\x1b[{}A", self.height);
        }
        // The last row is for the cursor; without it the terminal would scroll.
        let shown = lines.len().min(rows.saturating_sub(1).max(1));
        for line in &lines[..shown] {
            text.push_str(&truncate_str(line, columns, "…"));
            text.push_str("\x1b[K\r\n");
        }
        text.push_str("\x1b[J");
        (self.height, self.size) = (shown, size);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("line {n}")).collect()
    }

    #[test]
    fn draws_over_the_lines_before() {
        let mut screen = Screen::default();
        assert_eq!(screen.draw(&lines(2), (24, 80)), "line 0\x1b[K\r\nline 1\x1b[K\r\n\x1b[J");
        assert_eq!(screen.draw(&lines(1), (24, 80)), "\x1b[2Aline 0\x1b[K\r\n\x1b[J");
        assert!(screen.draw(&lines(1), (24, 80)).starts_with("\x1b[1A"));
    }

    #[test]
    fn fits_a_small_terminal() {
        let mut screen = Screen::default();
        let text = screen.draw(&lines(9), (4, 5));
        assert_eq!(text.matches("\r\n").count(), 3);
        assert!(text.starts_with("line…\x1b[K"), "{text:?}");
        assert!(screen.draw(&lines(1), (4, 80)).starts_with("\x1b[2J\x1b[H"), "another size: a clean start");
    }
}
