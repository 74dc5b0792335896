//! Letters, words, sentences.

use std::sync::LazyLock;

use crate::Rng;
use crate::words::LOREM;

/// Letters and digits of ASCII.
pub const ALPHANUMERIC: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The longest word there is, in letters.
pub const LONGEST_WORD: usize = 13;

/// The words of each length.
static BY_LENGTH: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    (0..=LONGEST_WORD)
        .map(|length| LOREM.lines().iter().copied().filter(|word| word.len() == length).collect())
        .collect()
});

/// `count` letters and digits.
///
/// ```
/// use api_mock_datagen::{Rng, text};
/// let text = text::alphanumeric(&mut Rng::seeded(0), 20);
/// assert!(text.len() == 20 && text.chars().all(|c| c.is_ascii_alphanumeric()));
/// ```
pub fn alphanumeric(rng: &mut Rng, count: usize) -> String {
    rng.string(ALPHANUMERIC, count)
}

/// A word of lorem ipsum, in small letters.
///
/// ```
/// use api_mock_datagen::{Rng, text};
/// assert!(!text::word(&mut Rng::seeded(0)).is_empty());
/// ```
pub fn word(rng: &mut Rng) -> &'static str {
    LOREM.pick(rng)
}

/// A word of `min` up to but not including `max` letters (`min` letters if both are equal);
/// there are words of 1 to [`LONGEST_WORD`] letters.
///
/// ```
/// use api_mock_datagen::{Rng, text};
/// assert_eq!(text::word_between(&mut Rng::seeded(0), 5, 6).len(), 5);
/// ```
pub fn word_between(rng: &mut Rng, min: usize, max: usize) -> &'static str {
    let length = length_between(rng, min, max).clamp(1, LONGEST_WORD);
    BY_LENGTH.get(length).and_then(|words| rng.pick(words)).copied().unwrap_or_default()
}

/// A number of things: from `min` up to but not including `max`.
pub(crate) fn length_between(rng: &mut Rng, min: usize, max: usize) -> usize {
    let (min, max) = (min.min(max), min.max(max));
    min + rng.index(max - min)
}

/// `count` words with a separator between them.
///
/// ```
/// use api_mock_datagen::{Rng, text};
/// assert_eq!(text::words(&mut Rng::seeded(0), 3, "_").split('_').count(), 3);
/// ```
pub fn words(rng: &mut Rng, count: usize, separator: &str) -> String {
    (0..count).map(|_| word(rng)).collect::<Vec<_>>().join(separator)
}

/// A sentence of `count` words: a capital letter at its beginning, a full stop at its end.
///
/// ```
/// use api_mock_datagen::{Rng, text};
/// let sentence = text::sentence(&mut Rng::seeded(0), 4);
/// assert!(sentence.ends_with('.') && sentence.split(' ').count() == 4);
/// ```
pub fn sentence(rng: &mut Rng, count: usize) -> String {
    let mut sentence = words(rng, count.max(1), " ");
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence.push('.');
    sentence
}

/// `count` sentences of 5 to 21 words.
///
/// ```
/// use api_mock_datagen::{Rng, text};
/// assert_eq!(text::paragraph(&mut Rng::seeded(0), 2).matches('.').count(), 2);
/// ```
pub fn paragraph(rng: &mut Rng, count: usize) -> String {
    let sentences = (0..count.max(1)).map(|_| {
        let words = length_between(rng, 5, 22);
        sentence(rng, words)
    });
    sentences.collect::<Vec<_>>().join(" ")
}

/// `count` words with hyphens, as they stand in URLs.
///
/// ```
/// use api_mock_datagen::{Rng, text};
/// assert_eq!(text::slug(&mut Rng::seeded(0), 3).split('-').count(), 3);
/// ```
pub fn slug(rng: &mut Rng, count: usize) -> String {
    words(rng, count.max(1), "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_words_of_every_length() {
        let mut rng = Rng::seeded(0);
        for length in 1..=LONGEST_WORD {
            assert_eq!(word_between(&mut rng, length, length).len(), length);
        }
        assert_eq!(word_between(&mut rng, 0, 0).len(), 1);
        assert_eq!(word_between(&mut rng, 50, 60).len(), LONGEST_WORD);
        assert!((2..=4).contains(&word_between(&mut rng, 5, 2).len()));
    }
}
