//! Keys from the bytes that a terminal sends (xterm's and VT220's sequences, bracketed paste).

/// One key, or one paste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    /// Ctrl with a letter, in lower case.
    Ctrl(char),
    Paste(String),
    Enter,
    /// Alt with Enter: a line end that does not run anything.
    NewLine,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    WordLeft,
    WordRight,
    Escape,
    Unknown,
}

const PASTE_END: &[u8] = b"\x1b[201~";

/// Takes the first key off some bytes: the key and how many bytes it was. `None` when more bytes are needed.
pub(super) fn decode(bytes: &[u8]) -> Option<(Key, usize)> {
    let first = *bytes.first()?;
    Some(match first {
        0x1b => return escape(bytes),
        b'\r' | b'\n' => (Key::Enter, 1),
        b'\t' => (Key::Tab, 1),
        0x7f | 0x08 => (Key::Backspace, 1),
        0x01..=0x1a => (Key::Ctrl(char::from(first - 1 + b'a')), 1),
        0x00 | 0x1c..=0x1f => (Key::Unknown, 1),
        _ => return character(bytes),
    })
}

fn character(bytes: &[u8]) -> Option<(Key, usize)> {
    let length = match bytes[0] {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some((Key::Unknown, 1)),
    };
    if bytes.len() < length {
        return None;
    }
    let text = std::str::from_utf8(&bytes[..length]).ok();
    Some(match text.and_then(|text| text.chars().next()) {
        Some(character) => (Key::Char(character), length),
        None => (Key::Unknown, 1),
    })
}

fn escape(bytes: &[u8]) -> Option<(Key, usize)> {
    match bytes.get(1) {
        // Terminals send a sequence at once: what comes alone is the key.
        None => Some((Key::Escape, 1)),
        Some(b'[' | b'O') => sequence(bytes),
        Some(b'b') => Some((Key::WordLeft, 2)),
        Some(b'f') => Some((Key::WordRight, 2)),
        Some(b'\r' | b'\n') => Some((Key::NewLine, 2)),
        Some(0x7f) => Some((Key::Ctrl('w'), 2)),
        Some(_) => Some((Key::Unknown, 2)),
    }
}

fn sequence(bytes: &[u8]) -> Option<(Key, usize)> {
    let body = &bytes[2..];
    // ECMA-48: parameters, then a final byte.
    let end = body.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
    let length = end + 3;
    let parameters = std::str::from_utf8(&body[..end]).unwrap_or_default();
    let has_modifier = parameters.contains(';');
    let key = match (body[end], parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if has_modifier => Key::WordRight,
        (b'D', _) if has_modifier => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', "1" | "7") => Key::Home,
        (b'F', _) | (b'~', "4" | "8") => Key::End,
        (b'~', "3") => Key::Delete,
        (b'~', "200") => {
            let pasted = &bytes[length..];
            let end = pasted
                .windows(PASTE_END.len())
                .position(|window| window == PASTE_END)?;
            let text = String::from_utf8_lossy(&pasted[..end]).replace("\r\n", "\n");
            let text = text.replace('\r', "\n");
            return Some((Key::Paste(text), length + end + PASTE_END.len()));
        }
        _ => Key::Unknown,
    };
    Some((key, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys() {
        for (bytes, key) in [
            (&b"a"[..], Key::Char('a')),
            ("é".as_bytes(), Key::Char('é')),
            ("😀".as_bytes(), Key::Char('😀')),
            (b"\n", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x03", Key::Ctrl('c')),
            (b"\x04", Key::Ctrl('d')),
            (b"\x1b", Key::Escape),
            (b"\x1b[A", Key::Up),
            (b"\x1bOA", Key::Up),
            (b"\x1b[1;5C", Key::WordRight),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b[H", Key::Home),
            (b"\x1b[99~", Key::Unknown),
            (b"\x1b[200~a\r\nb\x1b[201~", Key::Paste("a\nb".to_owned())),
        ] {
            assert_eq!(decode(bytes), Some((key, bytes.len())), "{bytes:?}");
        }
        for cut in [&b""[..], b"\x1b[", b"\x1b[1;5", b"\xc3", b"\x1b[200~a"] {
            assert_eq!(decode(cut), None, "{cut:?}");
        }
        assert_eq!(decode(b"ab"), Some((Key::Char('a'), 1)));
    }
}
