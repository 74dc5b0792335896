//! Bodies of JSON, flattened: every scalar with its place and its text as it is written.

/// Deeper or longer bodies count as no JSON.
const DEPTH: usize = 128;
const SCALARS: usize = 200_000;

/// A scalar of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The names on the way to it, joined by points; places in arrays are left out.
    pub(crate) key: String,
    /// The same with places in arrays: `items[0].id`.
    pub(crate) exact: String,
    /// Its text: of a number the digits as they stand there.
    pub(crate) text: String,
}

/// All scalars of a JSON text but nulls, in order; `None` if it is no JSON.
pub(crate) fn flatten(text: &str) -> Option<Vec<Scalar>> {
    let mut walk = Walk { bytes: text.as_bytes(), text, at: 0, scalars: Vec::new() };
    walk.value(&mut String::new(), &mut String::new(), 0)?;
    walk.blanks();
    (walk.at == text.len()).then_some(walk.scalars)
}

struct Walk<'t> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
    scalars: Vec<Scalar>,
}

impl Walk<'_> {
    fn blanks(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn value(&mut self, key: &mut String, exact: &mut String, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(key, exact, depth),
            b'[' => self.array(key, exact, depth),
            _ => {
                if let Some(text) = self.scalar()? {
                    if self.scalars.len() >= SCALARS {
                        return None;
                    }
                    self.scalars.push(Scalar { key: key.clone(), exact: exact.clone(), text });
                }
                Some(())
            }
        }
    }

    fn object(&mut self, key: &mut String, exact: &mut String, depth: usize) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            self.blanks();
            let name = self.string()?;
            self.take(b':')?;
            let (key_length, exact_length) = (key.len(), exact.len());
            for path in [&mut *key, &mut *exact] {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
            }
            self.value(key, exact, depth + 1)?;
            key.truncate(key_length);
            exact.truncate(exact_length);
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    fn array(&mut self, key: &mut String, exact: &mut String, depth: usize) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        for place in 0_usize.. {
            let length = exact.len();
            exact.push_str(&format!("[{place}]"));
            self.value(key, exact, depth + 1)?;
            exact.truncate(length);
            match self.peek()? {
                b',' => self.at += 1,
                _ => break,
            }
        }
        self.take(b']')
    }

    /// The text of a scalar; `Some(None)` for null.
    fn scalar(&mut self) -> Option<Option<String>> {
        if self.peek()? == b'"' {
            return self.string().map(Some);
        }
        let rest = self.text.get(self.at..)?;
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let word = rest.get(..end)?;
        self.at += end;
        match word {
            "null" => Some(None),
            "true" | "false" => Some(Some(word.to_owned())),
            // Checked by the parser that everybody uses.
            number => {
                serde_json::from_str::<serde_json::Number>(number).ok().map(|_| Some(number.to_owned()))
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        if *self.bytes.get(start)? != b'"' {
            return None;
        }
        let mut end = start + 1;
        let mut simple = true;
        loop {
            match *self.bytes.get(end)? {
                b'"' => break,
                b'\\' => {
                    simple = false;
                    end += 2;
                }
                0..0x20 => return None,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        if simple {
            return self.text.get(start + 1..end).map(str::to_owned);
        }
        serde_json::from_str(self.text.get(start..=end)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_texts_and_places() {
        let body = r#" {"a": {"b": [1, {"c": 1e6}, null]}, "d\"e": "x\n", "f": 12345678901234567890.10, "g": true} "#;
        let found = flatten(body).unwrap();
        let show: Vec<String> = found.iter().map(|s| format!("{} {} {}", s.key, s.exact, s.text)).collect();
        assert_eq!(
            show,
            [
                "a.b a.b[0] 1",
                "a.b.c a.b[1].c 1e6",
                "d\"e d\"e x\n",
                "f f 12345678901234567890.10",
                "g g true"
            ]
        );
    }

    #[test]
    fn what_is_no_json() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        for bad in ["{", "[1,]", "{\"a\"}", "[01x]", "{\"a\":1}x", "[\"\n\"]", "{'a':1}", "", "[tru]", &deep]
        {
            assert_eq!(flatten(bad), None, "{bad}");
        }
        assert_eq!(flatten("[]"), Some(vec![]));
    }
}
