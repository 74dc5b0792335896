//! Names and numbers of people.

use crate::words::{FIRST_NAMES, LAST_NAMES};
use crate::{Rng, text};

/// A first name.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// assert!(person::first_name(&mut Rng::seeded(0)).starts_with(char::is_uppercase));
/// ```
pub fn first_name(rng: &mut Rng) -> &'static str {
    FIRST_NAMES.pick(rng)
}

/// A last name.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// assert!(person::last_name(&mut Rng::seeded(0)).starts_with(char::is_uppercase));
/// ```
pub fn last_name(rng: &mut Rng) -> &'static str {
    LAST_NAMES.pick(rng)
}

/// A telephone number, `1-408-555-2671`.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// let phone = person::phone(&mut Rng::seeded(0));
/// assert!(phone.starts_with("1-") && phone.len() == 14);
/// ```
pub fn phone(rng: &mut Rng) -> String {
    format!("1-{}-{:03}-{:04}", rng.between(200, 1000), rng.between(200, 1000), rng.between(0, 10_000))
}

/// A user name of small letters and digits.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// assert!(person::username(&mut Rng::seeded(0)).chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
/// ```
pub fn username(rng: &mut Rng) -> String {
    let name = first_name(rng).to_ascii_lowercase();
    format!("{name}_{}{}", text::word_between(rng, 4, 9), rng.between(1, 100))
}

/// A password of `length` characters (at least 4): at least one capital letter, small letter,
/// digit and sign, none of which JSON or XML would have to escape.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// assert_eq!(person::password(&mut Rng::seeded(0), 16).len(), 16);
/// ```
pub fn password(rng: &mut Rng, length: usize) -> String {
    const SORTS: [&str; 4] =
        ["ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz", "23456789", "!#%*+-=?@_"];
    let mut characters: Vec<char> = SORTS.iter().map(|sort| rng.pick_char(sort)).collect();
    while characters.len() < length {
        let sort = rng.pick(&SORTS).copied().unwrap_or_default();
        characters.push(rng.pick_char(sort));
    }
    for last in (1..characters.len()).rev() {
        characters.swap(last, rng.index(last + 1));
    }
    characters.into_iter().collect()
}

/// A United States social security number, `123-45-6789`, of a form that can be issued.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// assert_eq!(person::ssn(&mut Rng::seeded(0)).len(), 11);
/// ```
pub fn ssn(rng: &mut Rng) -> String {
    // The area 666 is never issued, nor are those from 900 on.
    let area = match rng.between(1, 899) {
        area if area >= 666 => area + 1,
        area => area,
    };
    format!("{area:03}-{:02}-{:04}", rng.between(1, 100), rng.between(1, 10_000))
}

/// A United States individual taxpayer identification number, `9xx-7x-xxxx`.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// assert!(person::itin(&mut Rng::seeded(0)).starts_with('9'));
/// ```
pub fn itin(rng: &mut Rng) -> String {
    const GROUPS: [(i64, i64); 4] = [(50, 66), (70, 89), (90, 93), (94, 100)];
    let (low, high) = rng.pick(&GROUPS).copied().unwrap_or((70, 89));
    format!("9{:02}-{}-{:04}", rng.between(0, 100), rng.between(low, high), rng.between(1, 10_000))
}

/// A United States employer identification number, `12-3456789`.
///
/// ```
/// use api_mock_datagen::{Rng, person};
/// assert_eq!(person::ein(&mut Rng::seeded(0)).len(), 10);
/// ```
pub fn ein(rng: &mut Rng) -> String {
    format!("{:02}-{:07}", rng.between(10, 100), rng.between(0, 10_000_000))
}
