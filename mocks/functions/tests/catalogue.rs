//! Every function does what its description shows.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api_mock_datagen::{PatternLimits, Rng};
use api_mock_functions::{Description, Fixture, FunctionLimits, State, descriptions, functions};
use api_mock_template::time::CivilTime;
use api_mock_template::{Context, RenderErrorKind, Template, Value};
use serde_json::json;

fn state(seed: u64) -> State {
    let fixtures: HashMap<String, Arc<Fixture>> = [
        ("lines.txt", " one \n\ntwo\n"),
        ("props.yaml", "token: abc\namount: 12\ntags: [a, b]\n"),
        ("empty.txt", "\n"),
        ("bad.yaml", "{a: ["),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), Arc::new(Fixture::new(text.to_owned()))))
    .collect();
    let now = CivilTime::new(2023, 7, 4, 15, 4, 5, 0).unwrap().in_zone(7200, "CEST");
    State::new(Rng::seeded(seed), now).fixtures(Arc::new(fixtures))
}

fn data() -> Value {
    json!({"_RequestCount": 9, "status": 201, "elapsed": 12, "contents": {"id": 10, "tags": ["a", "b"]}})
        .into()
}

fn try_render(text: &str, state: &mut State) -> Result<String, String> {
    let template = Template::parse("t", text, &functions()).map_err(|error| error.to_string())?;
    template.render_with(&data(), &mut Context::with_state(state)).map_err(|error| error.to_string())
}

fn render(text: &str) -> String {
    try_render(text, &mut state(0)).unwrap()
}

#[test]
fn examples_give_what_they_say() {
    for Description { names, example, gives, .. } in descriptions() {
        let wanted = regex::Regex::new(&format!("^(?:{gives})$")).unwrap();
        for seed in 0..100 {
            let output = try_render(&example, &mut state(seed)).unwrap();
            assert!(wanted.is_match(&output), "{names:?}: {example} gave {output:?}, not {gives}");
        }
        assert!(names.iter().any(|name| example.contains(name.as_str())), "{names:?}");
    }
}

#[test]
fn every_function_is_described_once() {
    let described: Vec<String> = descriptions().into_iter().flat_map(|about| about.names).collect();
    let distinct: HashSet<&str> = described.iter().map(String::as_str).collect();
    let registered = functions();
    let registered: HashSet<&str> = registered.names().collect();
    // The ULID has a time in it, so it has no seeded form of its own.
    assert_eq!(distinct, registered);
    assert_eq!(distinct.len(), described.len());
}

/// The catalogue of the specification, both columns.
#[test]
fn all_names_of_the_specification_are_there() {
    const NAMES: &str = "Iterate LastIter Add Int Float EQ GE GT LE LT Nth NthRequest GERequest LTRequest Dict Unescape \
        RandNumMinMax RandIntMinMax RandNumMax RandIntMax Random SeededRandom RandIntArrayMinMax RandFloatMinMax \
        RandFloatMax RandString RandStringMinMax RandStringArrayMinMax RandRegex RandWord RandSentence RandParagraph \
        RandName SeededName RandCity SeededCity RandCountry SeededCountry RandCountryCode SeededCountryCode RandEmail \
        RandHost RandURL RandPhone RandDict EnumString EnumInt AnyInt Udid UUID SeededUdid SeededUUID RandBool \
        SeededBool Date Time ISODatetime TimeFormat RandFileLine SeededFileLine FileProperty JSONFileProperty \
        YAMLFileProperty VariableContains PropertyContains PropertyMatches VariableEquals PropertyEquals \
        VariableSizeEQ VariableSizeGE VariableSizeLE PropertyLenEQ PropertyLenGE PropertyLenLE NumPropertyEQ \
        NumPropertyGE NumPropertyLE HasProperty ResponseStatusMatches ResponseTimeMillisLE ULID RandAirport \
        SeededAirport RandFlightNumber SeededFlightNumber RandLocale RandZip RandIP RandIPv6 RandMACAddress RandSSN \
        SeededSSN RandSsn RandItin RandEin RandCreditCard SeededCreditCard RandISBN10 RandISBN13 RandFirstName \
        SeededFirstName RandLastName SeededLastName RandUSState SeededUSState RandUSStateAbbr SeededUSStateAbbr \
        RandUSPostal SeededUSPostal RandAddress SeededAddress RandHexColor RandRGBColor RandCurrencyCode \
        SeededCurrencyCode RandSemver RandBase64 RandSHA256 RandMD5 RandLatitude RandLongitude RandTimezone \
        SeededTimezone RandMimeType RandPort RandUnixTimestamp RandFutureDate RandPastDate RandUsername RandPassword \
        RandSlug RandHTTPStatus RandFileExtension RandFilename JsonHasProperty XmlHasElement ResponseTimeUnder \
        StatusInRange";
    let functions = functions();
    let missing: Vec<&str> = NAMES.split_whitespace().filter(|name| functions.get(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn seeded_functions_depend_on_the_seed_alone() {
    for about in descriptions().into_iter().filter(|about| about.names[0].starts_with("Seeded")) {
        let name = &about.names[0];
        let call = |seed: &str| match name.as_str() {
            "SeededFileLine" => format!("{{{{{name} \"lines.txt\" {seed}}}}}"),
            "SeededRandom" => format!("{{{{{name} {seed} 1000000}}}}"),
            _ => format!("{{{{{name} {seed}}}}}"),
        };
        for seed in ["0", "-1", "1", "9223372036854775807"] {
            let first = try_render(&call(seed), &mut state(1)).unwrap();
            assert_eq!(first, try_render(&call(seed), &mut state(2)).unwrap(), "{name} {seed}");
        }
        let seeds = (0..64).map(|seed| render(&call(&seed.to_string())));
        assert!(seeds.collect::<HashSet<_>>().len() > 1, "{name} ignores its seed");
    }
    assert_eq!(render("{{SeededName 1 10}}"), render(r#"{{SeededName "1"}}"#));
}

#[test]
fn one_seed_repeats_a_whole_rendering() {
    let all: String = descriptions().iter().map(|about| format!("{}\n", about.example)).collect();
    assert_eq!(try_render(&all, &mut state(0)).unwrap(), try_render(&all, &mut state(0)).unwrap());
    assert_ne!(try_render(&all, &mut state(0)).unwrap(), try_render(&all, &mut state(1)).unwrap());
}

#[test]
fn numbers_come_from_texts_and_defaults() {
    assert_eq!(render(r#"{{RandNumMinMax "5" "6"}}{{RandNumMinMax 5 5}}"#), "55");
    assert!((0..100_000).contains(&render("{{RandNumMinMax 0 0}}").parse::<i64>().unwrap()));
    assert!((5..9).contains(&render("{{RandNumMinMax 9 5}}").parse::<i64>().unwrap()));
    assert_eq!(render(r#"{{Add "x" 2}} {{Int 1e3}} {{Int "1e3"}} {{Float true}}"#), "2 1000 1000 0");
    assert_eq!(render(r#"{{range Iterate "2"}}{{.}}{{end}}{{range Iterate -3}}x{{end}}"#), "01");
}

#[test]
fn requests_are_counted_by_the_variable() {
    assert_eq!(
        render("{{NthRequest 3}} {{NthRequest 4}} {{GERequest 9}} {{LTRequest 9}}"),
        "true false true false"
    );
    let template =
        Template::parse("t", "{{NthRequest 3}}{{GERequest 0}}{{LTRequest 5}}", &functions()).unwrap();
    let mut state = state(0);
    let mut context = Context::with_state(&mut state);
    assert_eq!(template.render_with(&Value::Nil, &mut context).unwrap(), "falsefalsefalse");
}

#[test]
fn faults_are_errors_that_name_the_function() {
    for (text, message) in [
        ("{{Nth 1 0}}", "Nth: cannot count in steps of 0"),
        ("{{Nth 7 0.5}}", "Nth: cannot count in steps of 0"),
        ("{{NthRequest 0}}", "NthRequest: cannot count in steps of 0"),
        (r#"{{Dict "a"}}"#, "Dict: wants pairs of keys and values, but the last key has no value"),
        ("{{Dict 1 2}}", "Dict: wants strings as keys, not int (1)"),
        (r#"{{RandFileLine "no.txt"}}"#, "RandFileLine: there is no fixture no.txt"),
        (
            r#"{{RandFileLine "../../etc/passwd"}}"#,
            "RandFileLine: \"../../etc/passwd\" is not the name of a fixture",
        ),
        (r#"{{RandFileLine "empty.txt"}}"#, "RandFileLine: fixture empty.txt is empty"),
        (r#"{{FileProperty "props.yaml" "no"}}"#, "FileProperty: fixture props.yaml has no key \"no\""),
        (r#"{{FileProperty "bad.yaml" "no"}}"#, "FileProperty: fixture bad.yaml: not YAML"),
        (r#"{{VariableContains "status" "("}}"#, "VariableContains: not a regular expression"),
        ("{{EnumString}}", "EnumString: wants something to choose from"),
        ("{{RandName 1}}", "RandName wants 0 arguments, got 1"),
    ] {
        let error = try_render(text, &mut state(0)).unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn nothing_grows_beyond_the_limits() {
    let limits = {
        let mut limits = FunctionLimits::default();
        (limits.list_items, limits.text_bytes) = (50, 4000);
        let mut pattern = PatternLimits::default();
        pattern.max_bytes = 100;
        limits.pattern = pattern;
        limits
    };
    for call in [
        "Iterate 51",
        "Iterate 2000000000",
        "RandIntArrayMinMax 0 1000",
        "RandStringArrayMinMax 51 52",
        "RandString 4001",
        "RandStringMinMax 0 4001",
        "RandSentence 1 4000",
        "RandParagraph 1 100",
        "RandSlug 4000",
        "RandPassword 4001",
        "RandBase64 4000",
        "RandRegex `a{101}`",
        "RandWord 1 9223372036854775807",
    ] {
        let error = try_render(&format!("{{{{{call}}}}}"), &mut state(0).limits(limits)).unwrap_err();
        assert!(error.contains("limit") || error.contains("longer"), "{call}: {error}");
    }
    let shared =
        "{{$x := Dict \"a\" 1}}{{range Iterate 40}}{{$x = Dict \"a\" $x \"b\" $x}}{{end}}{{JSON $x}}";
    assert!(try_render(shared, &mut state(0).limits(limits)).unwrap_err().contains("limit"));
}

#[test]
fn regular_expressions_that_are_none_give_a_sentence() {
    let text = render("{{RandRegex `(?=x)y`}}");
    assert!(text.ends_with('.') && text.split(' ').count() <= 5, "{text}");
    assert_eq!(render("{{RandRegex `__number__[7]{3}`}}"), "777");
    assert!(render(r"{{RandRegex `(__string__\w+.?\w+@\w+.?\w+)`}}").contains('@'));
}

#[test]
fn without_a_state_only_pure_functions_work() {
    let parse = |text: &str| Template::parse("t", text, &functions()).unwrap();
    assert_eq!(
        parse("{{Add 1 2}} {{SeededBool 0 | print | len | lt 3}}").render(&Value::Nil).unwrap(),
        "3 true"
    );
    let error = parse("{{RandName}}").render(&Value::Nil).unwrap_err();
    assert!(matches!(error.kind(), RenderErrorKind::Function { .. }));
}

/// The README's table is written from the descriptions.
#[test]
fn the_readme_lists_all_functions() {
    let mut table = String::from("| function | gives | example |\n|---|---|---|\n");
    for about in descriptions() {
        let names = about.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" = ");
        let arguments = if about.arguments.is_empty() {
            String::new()
        } else {
            format!(" *{}*", about.arguments.replace('[', "\\[").replace(']', "\\]"))
        };
        let example = about.example.replace('|', "\\|");
        table.push_str(&format!("| {names}{arguments} | {} | `` {example} `` |\n", about.about));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        let (head, _) = readme.split_once("| function | gives").unwrap_or((&readme, ""));
        std::fs::write(path, format!("{head}{table}")).unwrap();
        return;
    }
    assert!(readme.ends_with(&table), "run this test with UPDATE_README=1");
}
