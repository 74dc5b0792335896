//! Forms of parts, `multipart/form-data`.

use api_mock_datagen::Rng;
use http::HeaderValue;
use serde_json::Value;

/// Whether a content type asks for parts, and nobody has written them yet.
pub(crate) fn are_meant(content_type: &str) -> bool {
    let mut words = content_type.split(';').map(str::trim);
    words.next().is_some_and(|name| name.eq_ignore_ascii_case("multipart/form-data"))
        && !words.any(|word| word.to_ascii_lowercase().starts_with("boundary="))
}

/// The members of a JSON object as parts, and the content type that tells them apart; `None` if it is no object.
pub(crate) fn written(object: &[u8], rng: &mut Rng) -> Option<(Vec<u8>, HeaderValue)> {
    let Value::Object(members) = serde_json::from_slice(object).ok()? else { return None };
    let boundary = format!("part-{:016x}", rng.next_u64());
    let mut text = String::new();
    for (name, value) in &members {
        match value {
            Value::Array(items) => items.iter().for_each(|item| part(&mut text, &boundary, name, item)),
            value => part(&mut text, &boundary, name, value),
        }
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}")).ok()?;
    Some((text.into_bytes(), content_type))
}

fn part(text: &mut String, boundary: &str, name: &str, value: &Value) {
    let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    text.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n"));
    match value {
        Value::Object(_) | Value::Array(_) => {
            text.push_str(&format!("Content-Type: application/json\r\n\r\n{value}\r\n"));
        }
        Value::String(value) => text.push_str(&format!("\r\n{value}\r\n")),
        value => text.push_str(&format!("\r\n{value}\r\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_parts() {
        assert!(are_meant("multipart/form-data") && !are_meant("multipart/form-data; boundary=x"));
        assert!(!are_meant("application/json"));
        let object = br#"{"a": "x", "n": [1, 2], "o": {"p": true}}"#;
        let (body, content_type) = written(object, &mut Rng::seeded(1)).unwrap();
        let boundary = content_type.to_str().unwrap().split_once("boundary=").unwrap().1.to_owned();
        let body = String::from_utf8(body).unwrap().replace(&boundary, "B");
        let part = |name: &str, rest: &str| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{rest}\r\n")
        };
        let json = "Content-Type: application/json\r\n\r\n{\"p\":true}";
        let wanted = [
            part("a", "\r\nx"),
            part("n", "\r\n1"),
            part("n", "\r\n2"),
            part("o", json),
            "--B--\r\n".to_owned(),
        ];
        assert_eq!(body, wanted.concat());
        assert!(
            written(b"[1]", &mut Rng::seeded(1)).is_none() && written(b"x", &mut Rng::seeded(1)).is_none()
        );
    }
}
