//! One segment of a path pattern.

use api_mock_scenario::Part;

/// What a segment must look like. Names of variables do not matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    Variable,
    /// Texts and variables: never two texts, or two variables, side by side.
    Mixed(Box<[Option<Box<str>>]>),
    /// This and all that follow.
    Rest,
}

impl Segment {
    pub(crate) fn new(parts: &[Part]) -> Segment {
        match parts {
            [Part::Literal(text)] => Segment::Literal(text.as_str().into()),
            [Part::Variable(_)] => Segment::Variable,
            [Part::Rest(_)] => Segment::Rest,
            parts => {
                let part = |part: &Part| match part {
                    Part::Literal(text) => Some(text.as_str().into()),
                    Part::Variable(_) | Part::Rest(_) => None,
                };
                Segment::Mixed(parts.iter().map(part).collect())
            }
        }
    }

    /// How much text there is.
    pub(crate) fn literal_bytes(&self) -> usize {
        match self {
            Segment::Mixed(parts) => parts.iter().flatten().map(|text| text.len()).sum(),
            Segment::Literal(text) => text.len(),
            Segment::Variable | Segment::Rest => 0,
        }
    }

    /// Matches a mixed segment and adds the values of its variables. Each takes one character at
    /// least, and the earlier ones as few as they can.
    pub(crate) fn capture<'r>(&self, segment: &'r str, values: &mut Vec<&'r str>) -> bool {
        let Segment::Mixed(parts) = self else { return false };
        let mut rest = segment;
        let mut waiting = false;
        for (place, part) in parts.iter().enumerate() {
            let Some(text) = part else {
                if waiting {
                    // Two variables side by side: the first takes one character.
                    let Some(first) = rest.chars().next() else { return false };
                    let (value, after) = rest.split_at(first.len_utf8());
                    values.push(value);
                    rest = after;
                }
                waiting = true;
                continue;
            };
            if !waiting {
                let Some(after) = rest.strip_prefix(&**text) else { return false };
                rest = after;
                continue;
            }
            let is_last = place + 1 == parts.len();
            let at = if is_last { rest.strip_suffix(&**text).map(str::len) } else { find_later(rest, text) };
            let Some((value, after)) = at.filter(|at| *at > 0).and_then(|at| rest.split_at_checked(at))
            else {
                return false;
            };
            values.push(value);
            rest = after.get(text.len()..).unwrap_or_default();
            waiting = false;
        }
        if waiting {
            values.push(rest);
            return !rest.is_empty();
        }
        rest.is_empty()
    }
}

/// Finds a text, but not at the begin.
fn find_later(text: &str, wanted: &str) -> Option<usize> {
    let first = text.chars().next()?.len_utf8();
    text.get(first..)?.find(wanted).map(|at| at + first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_mock_scenario::path_parts;

    fn capture<'r>(pattern: &str, segment: &'r str) -> Option<Vec<&'r str>> {
        let parts = path_parts(pattern);
        let mut values = Vec::new();
        Segment::new(&parts[0]).capture(segment, &mut values).then_some(values)
    }

    #[test]
    fn texts_and_variables_in_one_segment() {
        assert_eq!(capture("/v{n}.json", "v12.json"), Some(vec!["12"]));
        assert_eq!(capture("/{a}-{b}-{c}", "1-2-3-4"), Some(vec!["1", "2", "3-4"]));
        assert_eq!(capture("/{a}.tar", "x.tar.tar"), Some(vec!["x.tar"]));
        assert_eq!(capture("/{a}{b}", "xyz"), Some(vec!["x", "yz"]));
        assert_eq!(capture("/{a}.é", "日.é"), Some(vec!["日"]));
        for (pattern, segment) in [
            ("/v{n}.json", "v.json"),
            ("/v{n}.json", "v1xjson"),
            ("/v{n}.json", "wv1.json"),
            ("/v{n}.json", "v1.jsonx"),
            ("/{a}-{b}", "-b"),
            ("/{a}-{b}", "a-"),
            ("/{a}{b}", "x"),
        ] {
            assert_eq!(capture(pattern, segment), None, "{pattern} {segment}");
        }
    }
}
