//! Text of others on one line: what a device or a server says must not move the cursor of a terminal, or look like another line.

use std::fmt::{self, Write};

/// Octets as text on one line: control characters and what is not UTF-8 are escaped.
pub(crate) struct OneLine<'a>(pub(crate) &'a [u8]);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut plain = chunk.valid();
            while let Some(at) = plain.find(must_be_escaped) {
                let (before, rest) = plain.split_at(at);
                f.write_str(before)?;
                let mut characters = rest.chars();
                if let Some(character) = characters.next() {
                    escape(character, f)?;
                }
                plain = characters.as_str();
            }
            f.write_str(plain)?;
            for octet in chunk.invalid() {
                write!(f, "\\x{octet:02x}")?;
            }
        }
        Ok(())
    }
}

fn must_be_escaped(character: char) -> bool {
    // Besides the control characters, those that many programs take for the end of a line.
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

fn escape(character: char, f: &mut impl Write) -> fmt::Result {
    match character {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\0'..='\x7f' => write!(f, "\\x{:02x}", u32::from(character)),
        _ => write!(f, "\\u{{{:x}}}", u32::from(character)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_is_always_one_line() {
        let cases: [(&[u8], &str); 8] = [
            (b"plain {\"a\": 1}", "plain {\"a\": 1}"),
            (b"a\nb\r\n\tc", "a\\nb\\r\\n\\tc"),
            (b"\x1b[31mred\x07\x7f\0", "\\x1b[31mred\\x07\\x7f\\x00"),
            (b"\xff\xfe ok \xc3", "\\xff\\xfe ok \\xc3"),
            ("häß\u{85}\u{2028}\u{2029}".as_bytes(), "häß\\u{85}\\u{2028}\\u{2029}"),
            (b"back\\slash", "back\\slash"),
            (b"\xe2\x82", "\\xe2\\x82"),
            (b"", ""),
        ];
        for (octets, expected) in cases {
            assert_eq!(OneLine(octets).to_string(), expected);
        }
    }
}
