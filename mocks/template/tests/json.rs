//! The conversions of feature `json`.

use api_mock_template::{Functions, Template, Value};
use serde_json::{Value as Json, json};

#[test]
fn integers_stay_exact_and_floats_stay_floats() {
    let value = Value::from(&json!({"id": 9_007_199_254_740_993_i64, "big": u64::MAX, "f": 2.0, "n": null}));
    assert_eq!(value.get("id"), Some(&Value::Int(9_007_199_254_740_993)));
    assert_eq!(value.get("big"), Some(&Value::Uint(u64::MAX)));
    assert_eq!(value.get("f"), Some(&Value::Float(2.0)));
    let template = Template::parse("t", "{{.id}} {{.f}} {{.n}}", &Functions::new()).unwrap();
    assert_eq!(template.render(&value).unwrap(), "9007199254740993 2 <no value>");
}

#[test]
fn there_and_back_gives_the_same_json() {
    let json = json!({"a": [1, -2, 3.5, "x", null, true, {"b": {}}], "c": ""});
    assert_eq!(Json::from(&Value::from(&json)), json);
    assert_eq!(Json::from(&Value::from(json.clone())), json);
}

#[test]
fn what_json_cannot_write_becomes_null_or_is_replaced() {
    assert_eq!(Json::from(&Value::Float(f64::NAN)), Json::Null);
    assert_eq!(Json::from(&Value::Complex(1.0, 2.0)), Json::Null);
    assert_eq!(Json::from(&Value::Bytes(vec![b'a', 0xff].into())), json!("a\u{fffd}"));
    assert_eq!(Json::from(&Value::Byte(7)), json!(7));
}
