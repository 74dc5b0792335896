//! Bodies of forms with files.

use serde_json::Value;

/// More parts than this are no form.
const MAX_PARTS: usize = 1000;

/// A field of such a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'b> {
    pub(super) name: String,
    /// Whether it is a file.
    pub(super) is_file: bool,
    media: String,
    pub(super) bytes: &'b [u8],
}

impl Field<'_> {
    /// The value, if the field says that it is JSON.
    pub(super) fn json(&self) -> Option<Result<Value, serde_json::Error>> {
        crate::spec::is_json(&self.media).then(|| serde_json::from_slice(self.bytes))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes).into_owned()
    }
}

/// The fields of a body whose content type is `media`.
pub(super) fn fields<'b>(media: &str, body: &'b [u8]) -> Result<Vec<Field<'b>>, &'static str> {
    let boundary =
        parameter(media, "boundary").ok_or("is without the boundary that its content type must tell")?;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut fields = Vec::new();
    let Some(first) = find(body, &delimiter) else { return Err("does not hold its boundary") };
    let mut rest = body.get(first + delimiter.len()..).unwrap_or_default();
    let between = [b"\r\n", delimiter.as_slice()].concat();
    while !rest.starts_with(b"--") {
        if fields.len() >= MAX_PARTS {
            return Err("has too many parts");
        }
        let start = find(rest, b"\r\n").ok_or("breaks off")? + 2;
        let part = rest.get(start..).unwrap_or_default();
        let end = find(part, &between).ok_or("breaks off")?;
        fields.extend(field(part.get(..end).unwrap_or_default()));
        rest = part.get(end + between.len()..).unwrap_or_default();
    }
    Ok(fields)
}

/// A part; `None` if it has no name.
fn field(part: &[u8]) -> Option<Field<'_>> {
    let (head, bytes) = match find(part, b"\r\n\r\n") {
        Some(end) => (part.get(..end)?, part.get(end + 4..)?),
        None => (part, &[][..]),
    };
    let head = String::from_utf8_lossy(head);
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let disposition = header("content-disposition")?;
    let is_file =
        parameter(&disposition, "filename").is_some() || parameter(&disposition, "filename*").is_some();
    Some(Field {
        name: parameter(&disposition, "name")?,
        is_file,
        media: header("content-type").unwrap_or_default(),
        bytes,
    })
}

/// `x` of `a; name="x"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_told_apart() {
        let body = b"before\r\n--x-1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n5\r\n--x-1\r\n\
            content-disposition: form-data; name=\"f\"; filename=\"n.bin\"\r\nContent-Type: image/png\r\n\r\n\r\n--x\r\n--x-1\r\n\
            Content-Disposition: form-data; name=j\r\nContent-Type: application/json\r\n\r\n{\"b\":1}\r\n--x-1--\r\nafter";
        let fields = fields("multipart/form-data; boundary=\"x-1\"", body).unwrap();
        let told: Vec<_> = fields.iter().map(|one| (one.name.as_str(), one.is_file, one.text())).collect();
        assert_eq!(
            told,
            [
                ("a", false, "5".to_owned()),
                ("f", true, "\r\n--x".to_owned()),
                ("j", false, "{\"b\":1}".to_owned())
            ]
        );
        assert_eq!(fields[2].json().unwrap().unwrap()["b"], 1);
        assert!(fields[0].json().is_none());
    }

    #[test]
    fn what_is_no_form_is_told() {
        for (media, body) in [
            ("multipart/form-data", "--x--"),
            ("m/f; boundary=x", "y"),
            ("m/f; boundary=x", "--x\r\na"),
            ("m/f; boundary=x", "--x"),
        ] {
            assert!(fields(media, body.as_bytes()).is_err(), "{body}");
        }
        assert!(fields("m/f; boundary=x", b"--x--").unwrap().is_empty());
    }
}
