//! How fast the engine renders, and beside Go's text/template if a Go toolchain is there:
//! `GO=/path/to/go cargo run --release -p api-mock-template --example render_bench [FOLDER]`.
//!
//! Renders the templates among the files of FOLDER (default: the scenario files beside this repository, if they are
//! there) and one built-in template. The functions that they call are stand-ins that give fixed values, in both
//! languages, so that only the engines are measured; both must write the same bytes. With `--print` the outputs are
//! written instead.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a program to measure with")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api_mock_template::{Context, Functions, Map, Template, Value};

/// A JSON body of ten fields, most of them made up.
const TEN_FIELDS: &str = r#"{
  "id": "{{.id}}", "name": "{{RandName}}", "email": "{{RandEmail}}", "udid": "{{Udid}}",
  "account": "{{RandRegex "AC[0-9a-f]{32}"}}", "count": {{RandNumMax 1000}}, "active": {{RandBool}},
  "time": "{{Time}}", "page": {{.page}}, "status": "{{if eq .page "1"}}first{{else}}later{{end}}"
}"#;

/// Each template is measured in batches, and the fastest counts: the others were disturbed. The same in Go.
const BATCHES: u32 = 250;
/// How often each engine has its turn.
const TURNS: u32 = 2;
const BATCH: Duration = Duration::from_millis(2);
/// Renderings between looks at the clock, which takes as long as a short one.
const BETWEEN_LOOKS: u128 = 16;

fn number(value: &Value) -> i64 {
    let parsed = || value.as_str().and_then(|text| text.parse().ok());
    value.as_i64().or_else(parsed).unwrap_or(0)
}

fn functions() -> Functions {
    let mut functions = Functions::new();
    let texts = [
        ("Udid", "8b4ec2c4-9c4e-4a6e-8f52-2f8e0ad01f5c"),
        ("SeededUdid", "a2bb2c1e-1d67-4c5e-9a6f-000000000001"),
        ("RandName", "Frances"),
        ("SeededName", "Frances"),
        ("SeededCity", "Lisbon"),
        ("RandCity", "Lisbon"),
        ("RandEmail", "frances.word@host.com"),
        ("RandPhone", "1-408-555-2671"),
        ("RandString", "aZ3kP0qLm2Xc9VbN4tRe"),
        ("RandStringMinMax", "alpha_beta_gamma"),
        ("RandStringArrayMinMax", "[\"a_b_c\",\"d_e_f\"]"),
        ("RandRegex", "ACfa55acdee1c4fa55acdee1c4fa55ac"),
        ("RandSentence", "Lorem ipsum dolor."),
        ("RandParagraph", "Lorem ipsum dolor. Sit amet consectetur. Elit sed do."),
        ("Time", "2023-07-04T15:04:05Z"),
        ("TimeFormat", "3:04PM"),
        ("EnumString", "ONE"),
        ("SeededFileLine", "\"line\": \"one\""),
        ("FileProperty", "token"),
        ("JSONFileProperty", "12"),
    ];
    for (name, text) in texts {
        functions.add(name, 0.., move |_, _| Ok(Value::from(text)));
    }
    for (name, value) in [("RandNumMax", 417), ("RandNumMinMax", 2077), ("EnumInt", 20)] {
        functions.add(name, 0.., move |_, _| Ok(Value::Int(value)));
    }
    for name in ["RandBool", "SeededBool"] {
        functions.add(name, 0.., |_, _| Ok(Value::Bool(true)));
    }
    functions.add("Iterate", 1, |_, args| Ok((0..number(&args[0])).collect::<Vec<_>>().into()));
    functions.add("LastIter", 2, |_, args| Ok((number(&args[0]) == number(&args[1]) - 1).into()));
    functions.add("Add", 2, |_, args| Ok((number(&args[0]) + number(&args[1])).into()));
    functions.add("NthRequest", 1, |_, args| Ok((7 % number(&args[0]) == 0).into()));
    functions.add("GERequest", 1, |_, args| Ok((7 >= number(&args[0])).into()));
    functions.add("Dict", 0.., |_, args| {
        let pairs = args.chunks_exact(2).map(|pair| (pair[0].to_string(), pair[1].clone()));
        Ok(pairs.collect::<Map>().into())
    });
    functions
}

fn data() -> Value {
    let texts = [
        ("id", "cus_123"),
        ("page", "1"),
        ("pageSize", "10"),
        ("Page", "2"),
        ("PageSize", "10"),
        ("ETag", "\"abc\""),
        ("SleepSecs", "0"),
        ("customer", "cus_123"),
    ];
    let mut data: Map = texts.into_iter().collect();
    data.insert("Nonce", 5);
    data.into()
}

/// The reference's files, where they are.
fn default_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scenarios")
}

fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut texts = vec![("ten-fields".to_owned(), TEN_FIELDS.to_owned())];
    let Ok(files) = std::fs::read_dir(folder) else {
        eprintln!("no folder {}: only the built-in template is measured", folder.display());
        return texts;
    };
    let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    paths.sort();
    for path in paths {
        // A check of an answer, in braces of its own, which is no template.
        let text = std::fs::read_to_string(&path).unwrap_or_default().replace("{{contents.", "{contents.");
        if text.contains("{{") {
            texts.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
    }
    texts
}

/// The time of one rendering in nanoseconds, averaged over a batch.
fn batch(template: &Template, data: &Value, output: &mut Vec<u8>) -> u128 {
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < BATCH {
        for _ in 0..BETWEEN_LOOKS {
            output.clear();
            template.render_into(data, &mut Context::new(), output).expect("it renders");
        }
        rounds += BETWEEN_LOOKS;
    }
    start.elapsed().as_nanos() / rounds
}

/// Go's engine, built from the program beside this one.
struct Go {
    folder: PathBuf,
}

impl Go {
    /// `None` without the variable `GO`.
    fn build() -> Option<Go> {
        let go = std::env::var_os("GO")?;
        let folder = std::env::temp_dir().join(format!("render-bench-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a new folder");
        std::fs::write(folder.join("main.go"), include_str!("render_bench.go")).expect("a file");
        let status = Command::new(go)
            .args(["build", "-o", "bench", "main.go"])
            .envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local")])
            .current_dir(&folder)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "Go cannot build its program");
        Some(Go { folder })
    }

    /// The nanoseconds of one rendering, and what it wrote.
    fn render(&self, text: &str) -> (u128, Vec<u8>) {
        let (input, output) = (self.folder.join("input"), self.folder.join("output"));
        std::fs::write(&input, text).expect("a file");
        let mut command = Command::new(self.folder.join("bench"));
        let done = command.args([&input, &output]).stderr(Stdio::inherit()).output().expect("a program");
        let said = String::from_utf8_lossy(&done.stdout);
        (said.trim().parse().expect("nanoseconds"), std::fs::read(&output).expect("its output"))
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        // It is in the folder for such files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn summary(mut ratios: Vec<(f64, String)>) {
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let (Some((worst, name)), Some((median, _))) = (ratios.first(), ratios.get(ratios.len() / 2)) {
        println!(
            "Go's time / ours, of {} templates: median {median:.1}, worst {worst:.1} ({name})",
            ratios.len()
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let print = arguments.iter().any(|argument| argument == "--print");
    let folder = arguments.iter().find(|argument| !argument.starts_with("--"));
    let folder = folder.map_or_else(default_folder, PathBuf::from);
    let (functions, data) = (functions(), data());
    let go = if print { None } else { Go::build() };
    let mut ratios = Vec::new();
    for (name, text) in texts(&folder) {
        let template = match Template::parse(&name, &text, &functions) {
            Ok(template) => template,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        let mut output = Vec::new();
        template.render_into(&data, &mut Context::new(), &mut output).expect("it renders");
        if print {
            println!("=== {name}\n{}", String::from_utf8_lossy(&output));
            continue;
        }
        let size = output.len();
        let mut nanoseconds = u128::MAX;
        let mut of_go: Option<u128> = None;
        for _ in 0..TURNS {
            for _ in 0..BATCHES {
                nanoseconds = nanoseconds.min(batch(&template, &data, &mut output));
            }
            if let Some(go) = &go {
                let (time, written) = go.render(&text);
                assert!(written == output, "{name}: Go writes\n{}", String::from_utf8_lossy(&written));
                of_go = Some(of_go.map_or(time, |best| best.min(time)));
            }
        }
        let per_second = 1_000_000_000 / nanoseconds.max(1);
        print!("{name:20} {size:>7} bytes {nanoseconds:>9} ns {per_second:>10} renders/s");
        if let Some(of_go) = of_go {
            // Nanoseconds of one rendering are few.
            let ratio = of_go as f64 / nanoseconds.max(1) as f64;
            print!("   Go {of_go:>9} ns {ratio:>6.1}");
            ratios.push((ratio, name));
        }
        println!();
    }
    summary(ratios);
}
