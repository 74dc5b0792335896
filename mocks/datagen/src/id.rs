//! Identifiers with an inner form: UUIDs, ULIDs, ISBNs, card numbers, digests.

use crate::Rng;
use crate::words::AIRLINES;

const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";

/// A UUID of version 4.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// let uuid = id::uuid(&mut Rng::seeded(0));
/// assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'));
/// assert_eq!(uuid, id::uuid(&mut Rng::seeded(0)));
/// ```
pub fn uuid(rng: &mut Rng) -> String {
    let high = rng.next_u64() & !0xf000 | 0x4000;
    let low = rng.next_u64() & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// A ULID of the given time in milliseconds since 1970.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// let ulid = id::ulid(&mut Rng::seeded(0), 1_469_918_176_385);
/// assert!(ulid.len() == 26 && ulid.starts_with("01ARYZ6S41"));
/// ```
pub fn ulid(rng: &mut Rng, unix_milliseconds: u64) -> String {
    const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let time = u128::from(unix_milliseconds & 0xffff_ffff_ffff) << 80;
    let chance = u128::from(rng.next_u64()) << 16 | u128::from(rng.next_u64() >> 48);
    let bits = time | chance;
    let digit = |place: u32| {
        let at = (bits >> (5 * place) & 31) as usize;
        CROCKFORD.get(at).map_or('0', |byte| char::from(*byte))
    };
    (0..26).rev().map(digit).collect()
}

/// The ten digits of an ISBN, the last one a check digit (or `X`).
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// assert_eq!(id::isbn10(&mut Rng::seeded(0)).len(), 10);
/// ```
pub fn isbn10(rng: &mut Rng) -> String {
    let mut isbn = rng.string(DIGITS, 9);
    let sum: u32 = (2..=10).rev().zip(digits(&isbn)).map(|(weight, digit)| weight * digit).sum();
    isbn.push(match (11 - sum % 11) % 11 {
        10 => 'X',
        check => char::from_digit(check, 10).unwrap_or('0'),
    });
    isbn
}

/// The thirteen digits of an ISBN, the last one a check digit.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// assert!(id::isbn13(&mut Rng::seeded(0)).starts_with("978"));
/// ```
pub fn isbn13(rng: &mut Rng) -> String {
    let mut isbn = format!("978{}", rng.string(DIGITS, 9));
    let sum: u32 = [1, 3].into_iter().cycle().zip(digits(&isbn)).map(|(weight, digit)| weight * digit).sum();
    isbn.push(char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0'));
    isbn
}

/// A card number of one of the large issuers that passes the Luhn check. It belongs to nobody.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// assert!(matches!(id::credit_card(&mut Rng::seeded(0)).len(), 15 | 16));
/// ```
pub fn credit_card(rng: &mut Rng) -> String {
    const ISSUERS: [(&str, usize); 8] =
        [("4", 16), ("51", 16), ("53", 16), ("55", 16), ("34", 15), ("37", 15), ("6011", 16), ("65", 16)];
    let (prefix, length) = rng.pick(&ISSUERS).copied().unwrap_or(("4", 16));
    let mut number = prefix.to_owned();
    number.push_str(&rng.string(DIGITS, length - 1 - prefix.len()));
    number.push(char::from_digit(luhn_check_digit(&number), 10).unwrap_or('0'));
    number
}

/// The digit that makes the sum of the Luhn check a multiple of ten.
fn luhn_check_digit(number: &str) -> u32 {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let reversed: Vec<u32> = digits(number).rev().collect();
    let sum: u32 =
        (0..).zip(reversed).map(|(place, digit)| if place % 2 == 0 { doubled(digit) } else { digit }).sum();
    (10 - sum % 10) % 10
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.chars().filter_map(|digit| digit.to_digit(10))
}

/// A flight number: an airline's code and up to four digits.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// assert!((3..=6).contains(&id::flight_number(&mut Rng::seeded(0)).len()));
/// ```
pub fn flight_number(rng: &mut Rng) -> String {
    format!("{}{}", AIRLINES.pick(rng), rng.between(1, 10_000))
}

/// `count` random bytes in Base64.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// assert_eq!(id::base64(&mut Rng::seeded(0), 16).len(), 24);
/// ```
pub fn base64(rng: &mut Rng, count: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = (0..count).map(|_| rng.next_u64().to_le_bytes()[7]).collect();
    let mut text = String::with_capacity(count.div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let at = (bits >> (18 - 6 * place) & 63) as usize;
            let digit = ALPHABET.get(at).filter(|_| place <= chunk.len());
            text.push(digit.map_or('=', |byte| char::from(*byte)));
        }
    }
    text
}

/// What a SHA-256 digest looks like.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// assert_eq!(id::sha256(&mut Rng::seeded(0)).len(), 64);
/// ```
pub fn sha256(rng: &mut Rng) -> String {
    rng.string(HEX, 64)
}

/// What an MD5 digest looks like.
///
/// ```
/// use api_mock_datagen::{Rng, id};
/// assert_eq!(id::md5(&mut Rng::seeded(0)).len(), 32);
/// ```
pub fn md5(rng: &mut Rng) -> String {
    rng.string(HEX, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_right() {
        assert_eq!(luhn_check_digit("7992739871"), 3);
        for seed in 0..500 {
            let rng = &mut Rng::seeded(seed);
            let card = credit_card(rng);
            let sum: u32 = (0..)
                .zip(digits(&card).rev())
                .map(|(place, digit)| if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
                .sum();
            assert_eq!(sum % 10, 0, "{card}");
            let isbn: u32 = digits(&isbn13(rng)).zip([1, 3].into_iter().cycle()).map(|(d, w)| d * w).sum();
            assert_eq!(isbn % 10, 0);
            let isbn = isbn10(rng);
            let value = |c: char| c.to_digit(10).unwrap_or(10);
            let sum: u32 = isbn.chars().zip((1..=10).rev()).map(|(c, weight)| value(c) * weight).sum();
            assert_eq!(sum % 11, 0, "{isbn}");
        }
    }

    #[test]
    fn base64_is_padded() {
        let rng = &mut Rng::seeded(1);
        let endings = [1, 2, 3].map(|count| base64(rng, count));
        assert!(endings[0].ends_with("==") && endings[1].ends_with('=') && !endings[2].contains('='));
        assert_eq!(base64(rng, 0), "");
    }

    #[test]
    fn uuids_are_of_version_4() {
        for seed in 0..200 {
            let uuid = uuid(&mut Rng::seeded(seed));
            let bytes = uuid.as_bytes();
            assert_eq!(
                (bytes[14], bytes[8], bytes[13], bytes[18], bytes[23]),
                (b'4', b'-', b'-', b'-', b'-')
            );
            assert!(b"89ab".contains(&bytes[19]), "{uuid}");
        }
    }
}
