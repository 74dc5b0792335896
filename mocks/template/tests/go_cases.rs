//! Holds the engine against what Go's text/template does (see `go/README.md`).
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use api_mock_template::{
    Context, FuncError, Function, Functions, Map, MissingKey, Template, TemplateOptions, Value,
};
use serde_json::Value as Json;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go")
}

fn functions() -> Functions {
    let mut functions = Functions::new();
    functions
        .add("add", 2, |_, args| match args {
            [Value::Int(a), Value::Int(b)] => Ok(Value::Int(a + b)),
            _ => Err(FuncError::new("wants integers")),
        })
        .add("echo", 1, |_, args| Ok(args[0].clone()))
        .add("nothing", 0, |_, _| Ok(Value::Nil))
        .add("two", 0, |_, _| Ok(Value::Int(2)))
        .add("list", 0.., |_, args| Ok(Value::from(args.to_vec())))
        .add("dict", 0.., |_, args| {
            let mut map = Map::new();
            for pair in args.chunks(2) {
                let [key, value] = pair else { return Err(FuncError::new("odd")) };
                map.insert(key.as_str().ok_or_else(|| FuncError::new("key"))?, value.clone());
            }
            Ok(map.into())
        })
        .add("fail", 1, |_, _| Err(FuncError::new("failed")))
        .add("types", 0.., |_, args| {
            Ok(args.iter().map(Value::type_name).collect::<Vec<_>>().join(",").into())
        });
    functions
}

fn with_functions(value: &Value) -> Value {
    match value {
        Value::List(list) => Value::List(list.iter().map(with_functions).collect()),
        Value::Map(map) if map.contains_key("$func") => Value::Func(Function::new(1, |_, args| {
            let number = args[0].as_i64().ok_or_else(|| FuncError::new("not an integer"))?;
            Ok(Value::Int(number * 2))
        })),
        Value::Map(map) => Value::Map(map.iter().map(|(key, item)| (key, with_functions(item))).collect()),
        other => other.clone(),
    }
}

/// Output as hexadecimal digits, kind of error, line of the error.
type Outcome = (String, String, u64);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn expected(case: &Json) -> Outcome {
    let output = match case.get("output_hex") {
        Some(digits) => digits.as_str().unwrap().to_owned(),
        None => hex(case.get("output").and_then(Json::as_str).unwrap_or("").as_bytes()),
    };
    let error = case.get("error").and_then(Json::as_str).unwrap_or("");
    (output, error.to_owned(), case.get("line").and_then(Json::as_u64).unwrap_or(0))
}

fn parse(case: &Json, functions: &Functions) -> Result<Template, u64> {
    let missing: MissingKey =
        case.get("missingkey").and_then(Json::as_str).unwrap_or("default").parse().unwrap();
    let text = case["template"].as_str().unwrap();
    let parsed = TemplateOptions::new().missing_key(missing).parse("t", text, functions);
    parsed.map_err(|error| error.location().line as u64)
}

fn actual(case: &Json, data: &Json, functions: &Functions) -> Outcome {
    let data = match case.get("data").and_then(Json::as_str) {
        Some(name) => with_functions(&Value::from(&data[name])),
        None => Value::Nil,
    };
    let template = match parse(case, functions) {
        Ok(template) => template,
        Err(line) => return (String::new(), "parse".to_owned(), line),
    };
    let mut output = Vec::new();
    match template.render_into(&data, &mut Context::new(), &mut output) {
        Ok(()) => (hex(&output), String::new(), 0),
        Err(error) => (hex(&output), "exec".to_owned(), error.location().line as u64),
    }
}

#[test]
fn every_case_gives_what_go_gives() {
    let data: Json = serde_json::from_slice(&fs::read(folder().join("data.json")).unwrap()).unwrap();
    let functions = functions();
    let (mut count, mut wrong) = (0, Vec::new());
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            let (want, got) = (expected(&case), actual(&case, &data, &functions));
            count += 1;
            if want != got {
                wrong.push(format!("{}\n  want {want:?}\n  got  {got:?}", case["template"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 3_400, "only {count} cases were found");
}
