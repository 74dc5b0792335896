//! Places.

use crate::words::{AIRPORTS, CITIES, COUNTRIES, LOCALES, STREET_KINDS, STREETS, TIMEZONES, US_STATES};
use crate::{Rng, number};

/// A large city.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert!(!place::city(&mut Rng::seeded(0)).is_empty());
/// ```
pub fn city(rng: &mut Rng) -> &'static str {
    CITIES.pick(rng)
}

/// The English name of a country.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert!(!place::country(&mut Rng::seeded(0)).is_empty());
/// ```
pub fn country(rng: &mut Rng) -> &'static str {
    COUNTRIES.pick_pair(rng).1
}

/// The two letters of a country in ISO 3166.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert_eq!(place::country_code(&mut Rng::seeded(0)).len(), 2);
/// ```
pub fn country_code(rng: &mut Rng) -> &'static str {
    COUNTRIES.pick_pair(rng).0
}

/// One of the United States.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert!(!place::us_state(&mut Rng::seeded(0)).is_empty());
/// ```
pub fn us_state(rng: &mut Rng) -> &'static str {
    US_STATES.pick_pair(rng).1
}

/// The two letters of one of the United States.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert_eq!(place::us_state_code(&mut Rng::seeded(0)).len(), 2);
/// ```
pub fn us_state_code(rng: &mut Rng) -> &'static str {
    US_STATES.pick_pair(rng).0
}

/// A postal code of the United States: five digits.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert_eq!(place::zip(&mut Rng::seeded(0)).len(), 5);
/// ```
pub fn zip(rng: &mut Rng) -> String {
    format!("{:05}", rng.between(501, 99_951))
}

/// A street address on one line, `42 Maple Street, Lisbon, CA 90210`.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert_eq!(place::address(&mut Rng::seeded(0)).matches(", ").count(), 2);
/// ```
pub fn address(rng: &mut Rng) -> String {
    let house = rng.between(1, 2000);
    let (street, kind) = (STREETS.pick(rng), STREET_KINDS.pick(rng));
    let (city, state) = (city(rng), us_state_code(rng));
    format!("{house} {street} {kind}, {city}, {state} {}", zip(rng))
}

/// Degrees north of the equator, six digits after the point.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert!(place::latitude(&mut Rng::seeded(0)).abs() <= 90.0);
/// ```
pub fn latitude(rng: &mut Rng) -> f64 {
    number::float(rng, -90.0, 90.0)
}

/// Degrees east of Greenwich, six digits after the point.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert!(place::longitude(&mut Rng::seeded(0)).abs() <= 180.0);
/// ```
pub fn longitude(rng: &mut Rng) -> f64 {
    number::float(rng, -180.0, 180.0)
}

/// A time zone by its IANA name, `Europe/Lisbon`.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert!(!place::timezone(&mut Rng::seeded(0)).is_empty());
/// ```
pub fn timezone(rng: &mut Rng) -> &'static str {
    TIMEZONES.pick(rng)
}

/// A locale, `en_GB`.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert_eq!(place::locale(&mut Rng::seeded(0)).len(), 5);
/// ```
pub fn locale(rng: &mut Rng) -> &'static str {
    LOCALES.pick(rng)
}

/// The three letters of an airport.
///
/// ```
/// use api_mock_datagen::{Rng, place};
/// assert_eq!(place::airport(&mut Rng::seeded(0)).len(), 3);
/// ```
pub fn airport(rng: &mut Rng) -> &'static str {
    AIRPORTS.pick(rng)
}
