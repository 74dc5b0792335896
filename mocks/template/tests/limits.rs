//! Runaway templates end with an error.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

use std::sync::Arc;

use api_mock_template::{
    Context, Functions, Limit, Limits, List, Map, ParseErrorKind, RenderErrorKind, Template, Value,
};

fn functions() -> Functions {
    let mut functions = Functions::new();
    functions.add("list", 0.., |_, args| Ok(args.to_vec().into())).add("dict", 2, |_, args| {
        Ok([(args[0].to_string(), args[1].clone())].into_iter().collect::<Map>().into())
    });
    functions
}

fn limit_of(text: &str, limits: Limits) -> Option<Limit> {
    let template = Template::parse("t", text, &functions()).unwrap();
    let error = template.render_with(&Value::Nil, &mut Context::new().limits(limits)).err()?;
    match error.kind() {
        RenderErrorKind::Limit(limit) => Some(*limit),
        other => panic!("{other}"),
    }
}

#[test]
fn endless_loops_run_out_of_steps() {
    let loops = "{{range 9223372036854775807}}{{end}}";
    assert_eq!(limit_of(loops, Limits::default().steps(500_000)), Some(Limit::Steps));
    let nested = "{{range 100000}}{{range 100000}}{{end}}{{end}}";
    assert_eq!(limit_of(nested, Limits::default().steps(1000)), Some(Limit::Steps));
    assert_eq!(limit_of("{{range 10}}x{{end}}", Limits::default().steps(100)), None);
}

/// Found by fuzzing: the standard library's own padding panics beyond 65,535.
#[test]
fn long_precisions_and_widths_print_that_many_digits() {
    for (verb, argument, length) in [
        ("%.888888x", "1.5", "0x1.".len() + 888_888 + "p+00".len()),
        ("%.888888e", "1.5", "1.".len() + 888_888 + "e+00".len()),
        ("%.888888f", "1.5", "1.".len() + 888_888),
        ("%888888x", "1.5", 888_888),
        ("%.888888d", "7", 888_888),
        ("%888888q", "`a`", 888_888),
    ] {
        let text = format!("{{{{printf \"{verb}\" {argument}}}}}");
        let template = Template::parse("t", &text, &functions()).unwrap();
        let limits = Limits::default().output_bytes(1 << 20);
        let printed = template.render_with(&Value::Nil, &mut Context::new().limits(limits)).unwrap();
        assert_eq!(printed.len(), length, "{text}");
    }
}

#[test]
fn endless_recursion_runs_out_of_depth() {
    let text = r#"{{define "T"}}{{template "T" .}}{{end}}{{template "T" .}}"#;
    assert_eq!(limit_of(text, Limits::default()), Some(Limit::Depth));
    assert_eq!(limit_of(text, Limits::default().depth(1_000_000).steps(100_000)), Some(Limit::Steps));
}

#[test]
fn output_is_bounded_wherever_it_grows() {
    let small = Limits::default().output_bytes(100);
    assert_eq!(limit_of("{{range 101}}x{{end}}", small), Some(Limit::Output));
    assert_eq!(limit_of("{{range 100}}x{{end}}", small), None);
    assert_eq!(limit_of(r#"{{printf "%200d" 1 | len}}"#, small), Some(Limit::Output));
    let doubling = r#"{{$x := "x"}}{{range 64}}{{$x = print $x $x}}{{end}}"#;
    assert_eq!(limit_of(doubling, Limits::default().output_bytes(1 << 20)), Some(Limit::Output));
    let shared = r"{{$x := list 1}}{{range 60}}{{$x = list $x $x}}{{end}}{{$x}}";
    assert_eq!(limit_of(shared, Limits::default().output_bytes(1 << 20)), Some(Limit::Output));
}

#[test]
fn large_strings_cost_steps_too() {
    let text = r#"{{$x := printf "%100000d" 1}}{{range 1000}}{{$y := print $x}}{{end}}"#;
    assert_eq!(limit_of(text, Limits::default().steps(100_000)), Some(Limit::Steps));
}

#[test]
fn values_cannot_be_nested_without_end() {
    let text = r#"{{$x := 1}}{{range 1000000}}{{$x = dict "a" $x}}{{end}}"#;
    assert_eq!(limit_of(text, Limits::default()), Some(Limit::ValueDepth));
}

#[test]
fn data_that_is_too_deep_is_refused() {
    let mut value = Value::Int(1);
    for _ in 0..1000 {
        value = Value::List(List::from(vec![value]));
    }
    let template = Template::parse("t", "{{.}}", &functions()).unwrap();
    let error = template.render(&value).unwrap_err();
    assert!(matches!(error.kind(), RenderErrorKind::Limit(Limit::ValueDepth)));
}

#[test]
fn deep_nesting_of_actions_and_parentheses_does_not_overflow_the_stack() {
    let parse = |text: &str| Template::parse("t", text, &functions());
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(parse(&deep).unwrap_err().kind(), &ParseErrorKind::TooDeep);
    let ifs = format!("{}x{}", "{{if 1}}".repeat(50_000), "{{end}}".repeat(50_000));
    assert_eq!(parse(&ifs).unwrap().render(&Value::Nil).unwrap(), "x");
    let withs = format!("{}{{{{.}}}}{}", "{{with 1}}".repeat(50_000), "{{end}}".repeat(50_000));
    assert_eq!(parse(&withs).unwrap().render(&Value::Nil).unwrap(), "1");
}

#[test]
fn what_was_rendered_before_an_error_is_kept() {
    let template = Template::parse("t", "one {{len 3}} two", &functions()).unwrap();
    let mut output = b"zero ".to_vec();
    assert!(template.render_into(&Value::Nil, &mut Context::new(), &mut output).is_err());
    assert_eq!(output, b"zero one ");
}

#[test]
fn output_that_is_not_utf_8_is_an_error_for_strings_only() {
    let template = Template::parse("t", r#"a{{"\xff"}}"#, &functions()).unwrap();
    let error = template.render(&Value::Nil).unwrap_err();
    assert!(matches!(error.kind(), RenderErrorKind::NotUtf8), "{error}");
    let mut output = Vec::new();
    template.render_into(&Value::Nil, &mut Context::new(), &mut output).unwrap();
    assert_eq!(output, b"a\xff");
}

#[test]
fn one_template_renders_in_many_threads() {
    let text = "{{range $i, $x := .}}{{if $i}},{{end}}{{$x}}{{end}}";
    let template = Arc::new(Template::parse("t", text, &functions()).unwrap());
    let threads: Vec<_> = (0..8)
        .map(|start| {
            let template = template.clone();
            std::thread::spawn(move || {
                let data: Value = (start..start + 3).collect::<Vec<i32>>().into();
                (0..500).for_each(|_| {
                    let want = format!("{start},{},{}", start + 1, start + 2);
                    assert_eq!(template.render(&data).unwrap(), want);
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
