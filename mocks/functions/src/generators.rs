//! The functions that need nothing but chance: `RandCity` and `SeededCity`, and so on.

use api_mock_datagen::{id, internet, json, person, place};
use api_mock_template::Value;

use crate::entry::Generator;

macro_rules! generators {
    ($($names:expr, $about:literal, $gives:literal, |$rng:ident| $make:expr;)*) => {
        &[$(Generator { names: &$names, about: $about, gives: $gives, make: |$rng| Value::from($make) }),*]
    };
}

/// All of them: names, what it is, what it looks like, how it is made.
pub(crate) const GENERATORS: &[Generator] = generators! {
    ["Udid", "UUID"], "a UUID of version 4", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", |rng| id::uuid(rng);
    ["Bool"], "true or false", "true|false", |rng| rng.coin();
    ["Name", "FirstName"], "a first name", "[A-Z][a-z]+", |rng| person::first_name(rng);
    ["LastName"], "a last name", "[A-Z][a-z]+", |rng| person::last_name(rng);
    ["Email"], "an e-mail address in small letters", r"[a-z]+\.[a-z]+@[a-z]+\.[a-z]+", |rng| internet::email(rng);
    ["Phone"], "a telephone number", r"1-\d{3}-\d{3}-\d{4}", |rng| person::phone(rng);
    ["Username"], "a user name", "[a-z]+_[a-z]+[0-9]+", |rng| person::username(rng);
    ["SSN", "Ssn"], "a US social security number", r"\d{3}-\d{2}-\d{4}", |rng| person::ssn(rng);
    ["Itin"], "a US taxpayer identification number", r"9\d{2}-\d{2}-\d{4}", |rng| person::itin(rng);
    ["Ein"], "a US employer identification number", r"\d{2}-\d{7}", |rng| person::ein(rng);
    ["City"], "a city", "[A-Z][A-Za-z ]+", |rng| place::city(rng);
    ["Country"], "the English name of a country", "[A-Z][A-Za-z -]+", |rng| place::country(rng);
    ["CountryCode"], "a country in ISO 3166, two letters", "[A-Z]{2}", |rng| place::country_code(rng);
    ["USState"], "one of the United States", "[A-Z][A-Za-z ]+", |rng| place::us_state(rng);
    ["USStateAbbr"], "one of the United States, two letters", "[A-Z]{2}", |rng| place::us_state_code(rng);
    ["USPostal", "Zip"], "a US postal code", r"\d{5}", |rng| place::zip(rng);
    ["Address"], "a US street address on one line", r"\d+ [A-Za-z ]+, [A-Za-z ]+, [A-Z]{2} \d{5}", |rng| place::address(rng);
    ["Latitude"], "degrees north", r"-?\d+(\.\d+)?([e]-\d+)?", |rng| place::latitude(rng);
    ["Longitude"], "degrees east", r"-?\d+(\.\d+)?([e]-\d+)?", |rng| place::longitude(rng);
    ["Timezone"], "a time zone's IANA name", "[A-Za-z_/]+", |rng| place::timezone(rng);
    ["Locale"], "a locale", "[a-z]{2}_[A-Z]{2}", |rng| place::locale(rng);
    ["Airport"], "an airport, three letters", "[A-Z]{3}", |rng| place::airport(rng);
    ["FlightNumber"], "a flight number", "[A-Z0-9]{2}[1-9][0-9]{0,3}", |rng| id::flight_number(rng);
    ["Host"], "a host name", r"[a-z]+\.[a-z]+", |rng| internet::host(rng);
    ["URL"], "a URL of http, https or ftp", r"(https?|ftp)://[a-z]+\.[a-z]+", |rng| internet::url(rng);
    ["IP"], "an IPv4 address", r"\d+(\.\d+){3}", |rng| internet::ip(rng).to_string();
    ["IPv6"], "an IPv6 address", "2001:db8:[0-9a-f:]+", |rng| internet::ipv6(rng).to_string();
    ["MACAddress"], "a hardware address", "[0-9a-f]{2}(:[0-9a-f]{2}){5}", |rng| internet::mac_address(rng);
    ["Port"], "a port from 1024 on", r"\d{4,5}", |rng| internet::port(rng);
    ["MimeType"], "a media type", "[a-z]+/[a-z0-9.+-]+", |rng| internet::mime_type(rng);
    ["HTTPStatus"], "an HTTP status", "[2-5][0-9]{2}", |rng| internet::http_status(rng);
    ["Semver"], "a version", r"\d+\.\d+\.\d+", |rng| internet::semver(rng);
    ["FileExtension"], "the ending of a file name", "[a-z0-9]+", |rng| internet::file_extension(rng);
    ["Filename"], "a file name", r"[a-z]+\.[a-z0-9]+", |rng| internet::filename(rng);
    ["CurrencyCode"], "a currency in ISO 4217", "[A-Z]{3}", |rng| internet::currency_code(rng);
    ["HexColor"], "a colour", "#[0-9a-f]{6}", |rng| internet::hex_color(rng);
    ["RGBColor"], "a colour", r"rgb\(\d+, \d+, \d+\)", |rng| internet::rgb_color(rng);
    ["CreditCard"], "a card number that passes the Luhn check", r"\d{15,16}", |rng| id::credit_card(rng);
    ["ISBN10"], "an ISBN of ten digits", r"\d{9}[0-9X]", |rng| id::isbn10(rng);
    ["ISBN13"], "an ISBN of thirteen digits", r"978\d{10}", |rng| id::isbn13(rng);
    ["SHA256"], "what a SHA-256 digest looks like", "[0-9a-f]{64}", |rng| id::sha256(rng);
    ["MD5"], "what an MD5 digest looks like", "[0-9a-f]{32}", |rng| id::md5(rng);
    ["Dict"], "a small JSON object", r#"\{"[a-z]+":"[a-z.]+","[a-z]+":(true|false)(,"[a-z]+":\d+)?\}"#, |rng| json::object(rng);
};
