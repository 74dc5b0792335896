//! Where the engine differs from Go on purpose.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use api_mock_template::{Functions, Map, Template, TemplateOptions, Value};

fn render(text: &str, data: impl Into<Value>) -> String {
    Template::parse("t", text, &Functions::new()).unwrap().render(&data.into()).unwrap()
}

fn map(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Map {
    entries.into_iter().collect()
}

/// Go refuses an index for `slice` that comes out of a map or of a function that returns `any`.
#[test]
fn slice_takes_an_index_from_the_data() {
    let data = map([("s", "abc".into()), ("one", 1.into())]);
    assert_eq!(render("{{slice .s .one}}", data), "bc");
}

/// Go prints the address of a function.
#[test]
fn functions_print_as_a_word() {
    let function = api_mock_template::Function::new(0, |_, _| Ok(Value::Nil));
    assert_eq!(render("{{print .f}}", map([("f", function.into())])), "func");
}

/// Go moves the time of day by the offset that it read from `GMT-3`.
#[test]
fn a_zone_like_gmt_minus_three_keeps_the_time_of_day() {
    use api_mock_template::time::{CivilTime, RFC1123};
    let time = CivilTime::parse(RFC1123, "Tue, 18 Jun 2013 21:59:38 GMT-3").unwrap();
    assert_eq!(time.format(RFC1123), "Tue, 18 Jun 2013 21:59:38 GMT-3");
}

/// html/template prints nothing where text/template prints `<no value>`; callers can choose.
#[test]
fn the_text_for_no_value_can_be_chosen() {
    let quiet =
        TemplateOptions::new().no_value("").parse("t", "<{{.x}}{{.x.y}}>", &Functions::new()).unwrap();
    assert_eq!(quiet.render(&Value::from(Map::new())).unwrap(), "<>");
    assert_eq!(render("{{html .x}}", Map::new()), "&lt;no value&gt;");
}

/// Lists cannot have a capacity beyond their length, so `slice` ends there.
#[test]
fn slice_ends_at_the_length() {
    let template = Template::parse("t", "{{slice . 0 4}}", &Functions::new()).unwrap();
    assert!(template.render(&vec![1, 2, 3].into()).is_err());
}
