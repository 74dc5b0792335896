//! Pieces of JSON.

use crate::{Rng, text};

/// An object of two or three members: a string of three words, a truth value, perhaps a number.
///
/// ```
/// use api_mock_datagen::{Rng, json};
/// let object = json::object(&mut Rng::seeded(0));
/// assert!(object.starts_with("{\"") && object.ends_with('}'));
/// ```
pub fn object(rng: &mut Rng) -> String {
    let words = text::words(rng, 3, ".");
    let [first, second, third] = keys(rng);
    let mut object = format!("{{\"{first}\":\"{words}\",\"{second}\":{}", rng.coin());
    if rng.coin() {
        object.push_str(&format!(",\"{third}\":{}", rng.between(0, 1000)));
    }
    object.push('}');
    object
}

/// Three different words.
fn keys(rng: &mut Rng) -> [&'static str; 3] {
    loop {
        let keys = [(); 3].map(|()| text::word_between(rng, 3, 10));
        if keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2] {
            return keys;
        }
    }
}

/// An array of strings of three words each: from `min` up to but not including `max` of them.
///
/// ```
/// use api_mock_datagen::{Rng, json};
/// assert_eq!(json::strings(&mut Rng::seeded(0), 2, 3).matches('"').count(), 4);
/// ```
pub fn strings(rng: &mut Rng, min: usize, max: usize) -> String {
    let count = text::length_between(rng, min, max);
    let items: Vec<String> = (0..count).map(|_| format!("\"{}\"", text::words(rng, 3, "_"))).collect();
    format!("[{}]", items.join(","))
}

/// An array of numbers, see [`crate::number::integers`].
///
/// ```
/// use api_mock_datagen::{Rng, json};
/// assert!(json::integers(&mut Rng::seeded(0), 1, 10).starts_with('['));
/// ```
pub fn integers(rng: &mut Rng, min: i64, max: i64) -> String {
    let items: Vec<String> = crate::number::integers(rng, min, max).iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(","))
}
