//! The word lists, from the files under `data/`.

use std::sync::LazyLock;

use crate::Rng;

/// A list of words, or of pairs `CODE,Name`.
pub(crate) struct List {
    lines: LazyLock<Vec<&'static str>>,
}

macro_rules! lists {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) static $name: List = List {
            lines: LazyLock::new(|| include_str!(concat!("../data/", $file)).lines().collect()),
        };)*
        /// All lists, for tests.
        #[cfg(test)]
        pub(crate) static ALL: &[(&str, &List)] = &[$(($file, &$name)),*];
    };
}

lists! {
    AIRLINES = "airlines.txt";
    AIRPORTS = "airports.txt";
    CITIES = "cities.txt";
    COUNTRIES = "countries.txt";
    CURRENCIES = "currencies.txt";
    FILE_EXTENSIONS = "file_extensions.txt";
    FIRST_NAMES = "first_names.txt";
    HTTP_STATUSES = "http_statuses.txt";
    LAST_NAMES = "last_names.txt";
    LOCALES = "locales.txt";
    LOREM = "lorem.txt";
    MIME_TYPES = "mime_types.txt";
    STREETS = "streets.txt";
    STREET_KINDS = "street_kinds.txt";
    TIMEZONES = "timezones.txt";
    US_STATES = "us_states.txt";
}

impl List {
    /// Any line.
    pub(crate) fn pick(&self, rng: &mut Rng) -> &'static str {
        rng.pick(&self.lines).copied().unwrap_or_default()
    }

    /// Code and name of any line.
    pub(crate) fn pick_pair(&self, rng: &mut Rng) -> (&'static str, &'static str) {
        let line = self.pick(rng);
        line.split_once(',').unwrap_or((line, line))
    }

    pub(crate) fn lines(&self) -> &[&'static str] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn lists_have_no_empty_or_double_lines() {
        for (file, list) in ALL {
            let distinct: HashSet<_> = list.lines().iter().collect();
            assert_eq!(distinct.len(), list.lines().len(), "{file}");
            assert!(list.lines().iter().all(|line| !line.is_empty() && line.trim() == *line), "{file}");
        }
        assert_eq!((COUNTRIES.lines().len(), US_STATES.lines().len()), (249, 51));
    }

    /// Values go into JSON, XML and YAML without being escaped.
    #[test]
    fn words_hold_nothing_that_a_format_would_have_to_escape() {
        let harmless = |c: char| c.is_ascii_alphanumeric() || " ,-/+._".contains(c);
        for (file, list) in ALL {
            assert!(list.lines().iter().all(|line| line.chars().all(harmless)), "{file}");
        }
    }
}
