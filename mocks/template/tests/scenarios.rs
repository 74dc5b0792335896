//! The reference system's own files, where they lie beside the repository.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::path::Path;

use api_mock_template::{Functions, Map, Template, Value};

/// What the files call; here each gives back its last argument, or 3.
const FUNCTIONS: [&str; 27] = [
    "Add",
    "Dict",
    "EnumInt",
    "EnumString",
    "FileProperty",
    "GERequest",
    "JSONFileProperty",
    "LastIter",
    "NthRequest",
    "RandBool",
    "RandCity",
    "RandEmail",
    "RandName",
    "RandNumMax",
    "RandNumMinMax",
    "RandParagraph",
    "RandPhone",
    "RandRegex",
    "RandSentence",
    "RandString",
    "RandStringArrayMinMax",
    "RandStringMinMax",
    "SeededBool",
    "SeededCity",
    "SeededFileLine",
    "SeededName",
    "SeededUdid",
];

fn functions() -> Functions {
    let mut functions = Functions::new();
    for name in FUNCTIONS.into_iter().chain(["Time", "TimeFormat", "Udid", "Iterate"]) {
        functions.add(name, 0.., |_, args| Ok(args.last().cloned().unwrap_or(Value::Int(3))));
    }
    functions
}

#[test]
fn the_reference_files_render() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scenarios");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: there is no folder {}", folder.display());
        return;
    };
    let mut data: Map = [("PageSize", 2), ("pageSize", 2), ("Nonce", 5)].into_iter().collect();
    data.insert("page", "1");
    let (functions, data) = (functions(), Value::from(data));
    let mut templates = 0;
    for path in files.map(|file| file.unwrap().path()) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let parsed = Template::parse(&name, &text, &functions);
        if name == "post_todo" {
            // Not a template: it has an assertion between braces.
            assert_eq!(
                parsed.unwrap_err().to_string(),
                "template post_todo:23:11: function \"contents\" is not defined"
            );
            continue;
        }
        let output = parsed.unwrap().render(&data).unwrap();
        assert!(!output.contains("{{"), "{name}");
        templates += usize::from(text.contains("{{"));
    }
    assert!(templates >= 9, "only {templates} templates were found");
}
