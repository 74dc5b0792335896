//! Elements of XML, found without reading it as a whole.

/// What holds no elements, and how it ends.
const SKIPPED: [(&str, &str); 4] = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")];

/// Whether a text has an element of this name, or of these names one right in the other: `order/id`. A name without a
/// prefix is found with any.
pub(crate) fn has_element(xml: &str, path: &str) -> bool {
    let wanted: Vec<&str> = path.trim_matches('/').split('/').collect();
    let mut open: Vec<&str> = Vec::new();
    for tag in (Tags { rest: xml }) {
        if let Some(name) = tag.strip_prefix('/') {
            if open.last() == Some(&name.trim_end()) {
                open.pop();
            }
            continue;
        }
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        open.push(tag.split_ascii_whitespace().next().unwrap_or_default());
        let inner = open.iter().rev().zip(wanted.iter().rev());
        if open.len() >= wanted.len() && inner.into_iter().all(|(name, wanted)| is_called(name, wanted)) {
            return true;
        }
        if is_closed {
            open.pop();
        }
    }
    false
}

fn is_called(name: &str, wanted: &str) -> bool {
    !wanted.is_empty() && (name == wanted || name.split_once(':').is_some_and(|(_, local)| local == wanted))
}

/// What stands between `<` and `>`.
struct Tags<'x> {
    rest: &'x str,
}

impl<'x> Iterator for Tags<'x> {
    type Item = &'x str;

    fn next(&mut self) -> Option<&'x str> {
        loop {
            self.rest = self.rest.get(self.rest.find('<')?..)?;
            let skipped = SKIPPED.iter().find(|(begin, _)| self.rest.starts_with(begin));
            let Some((begin, end)) = skipped else { break };
            let after = self.rest.get(begin.len()..)?;
            self.rest = after.get(after.find(end)? + end.len()..)?;
        }
        let end = end_of_tag(self.rest)?;
        let tag = self.rest.get(1..end)?;
        self.rest = self.rest.get(end + 1..)?;
        Some(tag)
    }
}

/// Where the `>` of a tag is: not within quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('>', None) => return Some(at),
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_name_and_by_path() {
        let xml = r#"<?xml version="1.0"?><!-- <no/> --><s:order t='>'><item id="a>b"/><note>
            <![CDATA[<no>]]><total unit="EUR">5</total ></note></s:order>"#;
        for there in ["order", "s:order", "item", "order/item", "order/note/total", "/note/total", "total"] {
            assert!(has_element(xml, there), "{there}");
        }
        for missing in
            ["no", "t:order", "item/note", "order/total", "tot", "", "/", "order//item", "x/s:order", "5"]
        {
            assert!(!has_element(xml, missing), "{missing}");
        }
        for broken in ["", "<", "<a", "<!-- <a>", "a>", "<a b='>"] {
            assert!(!has_element(broken, "a"), "{broken}");
        }
    }
}
