//! The text that is being typed, with its cursor: what the keys of Emacs and of every shell do to it.

/// A text of one or more lines, and a place in it.
#[derive(Debug, Default, Clone)]
pub(super) struct Line {
    text: String,
    /// A byte, between two characters.
    cursor: usize,
}

impl Line {
    /// A text with the cursor behind it.
    pub(super) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            cursor: text.len(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    /// Puts a text in the place of what stands from a byte to the cursor.
    pub(super) fn replace_from(&mut self, start: usize, text: &str) {
        self.text.replace_range(start..self.cursor, text);
        self.cursor = start + text.len();
    }

    pub(super) fn backspace(&mut self) {
        if let Some(last) = self.before().chars().next_back() {
            self.cursor -= last.len_utf8();
            self.text.remove(self.cursor);
        }
    }

    pub(super) fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    pub(super) fn left(&mut self) {
        let last = self.before().chars().next_back();
        self.cursor -= last.map_or(0, char::len_utf8);
    }

    pub(super) fn right(&mut self) {
        let next = self.text[self.cursor..].chars().next();
        self.cursor += next.map_or(0, char::len_utf8);
    }

    pub(super) fn home(&mut self) {
        self.cursor = self.start();
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.stop();
    }

    pub(super) fn word_left(&mut self) {
        let before = self
            .before()
            .trim_end_matches(|c: char| !c.is_alphanumeric());
        let word = before.trim_end_matches(char::is_alphanumeric);
        self.cursor = word.len();
    }

    pub(super) fn word_right(&mut self) {
        let after = &self.text[self.cursor..];
        let rest = after.trim_start_matches(|c: char| !c.is_alphanumeric());
        let rest = rest.trim_start_matches(char::is_alphanumeric);
        self.cursor = self.text.len() - rest.len();
    }

    /// Away with the word before the cursor.
    pub(super) fn cut_word(&mut self) {
        let before = self.before().trim_end();
        let start = before.rfind(char::is_whitespace).map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Away with what stands before the cursor in its line.
    pub(super) fn cut_before(&mut self) {
        let start = self.start();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Away with what stands behind it in its line, or with the line end.
    pub(super) fn cut_after(&mut self) {
        let stop = self.stop();
        let stop = if stop == self.cursor {
            (stop + 1).min(self.text.len())
        } else {
            stop
        };
        self.text.replace_range(self.cursor..stop, "");
    }

    /// One line up; false where there is none.
    pub(super) fn up(&mut self) -> bool {
        let start = self.start();
        if start == 0 {
            return false;
        }
        let column = self.text[start..self.cursor].chars().count();
        let above = self.text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
        self.go(above, start - 1, column);
        true
    }

    /// One line down; false where there is none.
    pub(super) fn down(&mut self) -> bool {
        let stop = self.stop();
        if stop == self.text.len() {
            return false;
        }
        let column = self.text[self.start()..self.cursor].chars().count();
        let end = self.text[stop + 1..]
            .find('\n')
            .map_or(self.text.len(), |at| stop + 1 + at);
        self.go(stop + 1, end, column);
        true
    }

    fn go(&mut self, start: usize, end: usize, column: usize) {
        let line = &self.text[start..end];
        let inside = line
            .char_indices()
            .nth(column)
            .map_or(line.len(), |(at, _)| at);
        self.cursor = start + inside;
    }

    /// Where the cursor's line begins.
    fn start(&self) -> usize {
        self.before().rfind('\n').map_or(0, |at| at + 1)
    }

    /// Where it ends.
    fn stop(&self) -> usize {
        let after = self.text[self.cursor..].find('\n');
        after.map_or(self.text.len(), |at| self.cursor + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with `|` where the cursor is.
    fn shown(line: &Line) -> String {
        format!("{}|{}", line.before(), &line.text()[line.before().len()..])
    }

    fn after(text: &str, act: impl Fn(&mut Line)) -> String {
        let mut line = Line::of(text);
        act(&mut line);
        shown(&line)
    }

    #[test]
    fn keys_do_what_they_do_everywhere() {
        assert_eq!(after("aé", Line::backspace), "a|");
        assert_eq!(after("ab cd-ef", Line::word_left), "ab cd-|ef");
        assert_eq!(after("ab cd-ef", Line::cut_word), "ab |");
        assert_eq!(after("ab cd ", Line::cut_word), "ab |");
        assert_eq!(after("a\nbc", Line::home), "a\n|bc");
        assert_eq!(after("a\nbc", Line::cut_before), "a\n|");
        assert_eq!(
            after("é", |line| {
                line.left();
                line.delete();
            }),
            "|"
        );
        assert_eq!(
            after("abc\nd", |line| {
                line.up();
                line.end();
                line.cut_after();
            }),
            "abc|d"
        );
        assert_eq!(
            after("abc\nd", |line| {
                line.up();
            }),
            "a|bc\nd"
        );
        assert_eq!(
            after("a\nbcd", |line| {
                line.up();
                line.down();
            }),
            "a\nb|cd"
        );
        assert_eq!(
            after("ab", |line| {
                line.home();
                line.word_right();
                line.insert("!");
            }),
            "ab!|"
        );
        assert_eq!(
            after("sel", |line| line.replace_from(0, "SELECT")),
            "SELECT|"
        );
        assert_eq!(
            after("", |line| {
                line.backspace();
                line.delete();
                line.left();
                line.right();
            }),
            "|"
        );
    }

    proptest::proptest! {
        #[test]
        fn the_cursor_stays_between_characters(text in "[a-zé日 \n'.]{0,20}", keys in "[a-q]{0,40}") {
            let mut line = Line::of(&text);
            for key in keys.chars() {
                match key {
                    'a' => line.backspace(),
                    'b' => line.delete(),
                    'c' => line.left(),
                    'd' => line.right(),
                    'e' => line.home(),
                    'f' => line.end(),
                    'g' => line.word_left(),
                    'h' => line.word_right(),
                    'i' => line.cut_word(),
                    'j' => line.cut_before(),
                    'k' => line.cut_after(),
                    'l' => {
                        line.up();
                    }
                    'm' => {
                        line.down();
                    }
                    'n' => line.insert("日\n"),
                    other => line.insert(other.encode_utf8(&mut [0; 4])),
                }
                proptest::prop_assert!(line.text().is_char_boundary(line.before().len()));
            }
        }
    }
}
