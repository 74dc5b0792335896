//! Parses any text as a template and renders it: no panic, no hang, no growth beyond the limits.
#![no_main]

use std::sync::LazyLock;

use api_mock_template::{Context, FuncError, Functions, Limits, List, Map, MissingKey, TemplateOptions, Value};
use libfuzzer_sys::fuzz_target;

const OUTPUT_BYTES: usize = 1 << 16;

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let mut functions = Functions::new();
    functions
        .add("list", 0.., |_, args| Ok(args.to_vec().into()))
        .add("dict", 2, |_, args| {
            let key = args[0].as_str().ok_or_else(|| FuncError::new("key"))?;
            Ok([(key, args[1].clone())].into_iter().collect::<Map>().into())
        })
        .add("echo", 1, |_, args| Ok(args[0].clone()))
        .add("nothing", 0, |_, _| Ok(Value::Nil));
    functions
});

static DATA: LazyLock<Value> = LazyLock::new(|| {
    let inner: Map = [("x", Value::Int(1)), ("y", Value::Nil)].into_iter().collect();
    let list = List::from(vec![Value::Int(1), "two".into(), Value::Float(3.5), Value::Nil, inner.clone().into()]);
    let mut data = Map::new();
    data.insert("i", 7);
    data.insert("f", -0.1);
    data.insert("u", u64::MAX);
    data.insert("s", "héllo <&> \"x\"");
    data.insert("t", true);
    data.insert("n", Value::Nil);
    data.insert("l", list);
    data.insert("m", inner);
    data.insert("b", Value::Bytes(vec![b'a', 0xff, 0xe2, 0x82].into()));
    data.insert("e", Map::new());
    data.into()
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let missing = [MissingKey::Default, MissingKey::Zero, MissingKey::Error];
    let options = TemplateOptions::new().missing_key(missing[usize::from(choice % 3)]);
    let template = match options.parse("fuzz", &text, &FUNCTIONS) {
        Ok(template) => template,
        Err(error) => {
            let location = error.location();
            assert!(location.line >= 1 && location.line <= 1 + text.matches('\n').count());
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let limits = Limits::default().steps(20_000).depth(50).output_bytes(OUTPUT_BYTES);
    let render = || {
        let mut output = Vec::new();
        let result = template.render_into(&DATA, &mut Context::new().limits(limits), &mut output);
        (output, result.map_err(|error| error.to_string()))
    };
    let first = render();
    assert!(first.0.len() <= OUTPUT_BYTES);
    assert_eq!(first, render(), "rendering twice gives the same");
});
