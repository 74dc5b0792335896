//! Real specifications, from where they lie.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

mod common;

use api_mock_openapi::{ImportOptions, NoDocuments, RequestParts, import};
use api_mock_scenario::{Format, Scenario};
use common::{Text, bodies_are_valid, corpus};

#[test]
fn every_specification_is_imported_and_its_bodies_are_valid() {
    for file in corpus() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let import = common::imported(&std::fs::read(&file).unwrap());
        assert!(!import.scenarios.is_empty(), "{name}: {:?}", import.problems);
        let answered: std::collections::HashSet<usize> =
            import.scenarios.iter().map(|made| made.operation).collect();
        assert_eq!(answered.len(), import.api.operations.len(), "{name}: {:?}", import.problems);
        let bodies = bodies_are_valid(&import, 20, &name);
        common::answers_are_valid(&import, 10, &name);
        println!(
            "{name}: {} scenarios, {bodies} JSON bodies, {} problems",
            import.scenarios.len(),
            import.problems.len()
        );
        import.problems.iter().take(8).for_each(|problem| println!("    {problem}"));
    }
}

#[test]
fn imports_are_the_same_every_time() {
    for file in corpus() {
        let bytes = std::fs::read(&file).unwrap();
        let texts = || {
            let import = import(&bytes, &ImportOptions::default(), &NoDocuments).unwrap();
            import.scenarios.iter().map(|made| made.text()).collect::<Vec<_>>()
        };
        assert_eq!(texts(), texts(), "{}", file.display());
    }
}

#[test]
fn files_of_scenarios_can_be_read_again() {
    for file in corpus() {
        let import = common::imported(&std::fs::read(&file).unwrap());
        for made in &import.scenarios {
            let read = Scenario::parse(&made.text(), Format::Yaml)
                .unwrap_or_else(|error| panic!("{error}\n{}", made.text()));
            assert_eq!(read, made.scenario, "{}", made.text());
            Text::new(&made.text());
        }
    }
}

/// The example requests of the scenarios pass the specification's own validation.
#[test]
fn example_requests_are_valid() {
    let mut count = 0;
    for file in corpus() {
        let import = common::imported(&std::fs::read(&file).unwrap());
        for made in &import.scenarios {
            let file = Text::new(&made.text());
            let scenario = common::answer(&file, 1);
            let request = &scenario.request;
            let mut path = scenario.path.clone();
            for (name, value) in request.example_path_params.iter() {
                path = path.replace(&format!("{{{name}}}"), &encoded(value));
            }
            let query: Vec<String> = request
                .example_query_params
                .iter()
                .flat_map(|(name, value)| {
                    let values = value.split(&format!("&{name}=")).map(encoded).collect::<Vec<_>>();
                    values.into_iter().map(move |value| format!("{}={value}", encoded(name)))
                })
                .collect();
            let headers: Vec<(&str, &str)> = request.example_headers.iter().collect();
            let parts = RequestParts {
                method: &scenario.method,
                path: &path,
                query: &query.join("&"),
                headers: &headers,
                body: request.example_contents.as_bytes(),
            };
            let operation = import.api.find(&scenario.method, &path).unwrap();
            assert_eq!(operation.method, scenario.method);
            count += 1;
            let violations = import.api.check_request(&parts).unwrap();
            assert!(violations.is_empty(), "{}: {violations:?}\n{}", scenario.name, made.text());
        }
    }
    println!("{count} example requests");
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
