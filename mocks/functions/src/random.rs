//! Functions of chance that take arguments.

use api_mock_datagen::{PatternError, Rng, id, json, number, person, text};
use api_mock_template::{Context, FuncError, Value};

use crate::cache;
use crate::coerce::{count, float, int, int_at, text_at};
use crate::entry::Entry;
use crate::state::{State, state};

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        names: &["RandNumMinMax", "RandIntMinMax"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "an integer from min up to but not including max; max 0 stands for 100000",
        example: "{{RandNumMinMax 5 10}}",
        gives: "[5-9]",
        code: |context, args| {
            Ok(number::integer(&mut state(context)?.rng, int_at(args, 0), int_at(args, 1)).into())
        },
    },
    Entry {
        names: &["RandNumMax", "RandIntMax", "Random"],
        arguments: "max",
        arity: (1, Some(1)),
        about: "an integer from 0 up to but not including max; max 0 stands for 100000",
        example: "{{RandNumMax 10}}",
        gives: "[0-9]",
        code: |context, args| Ok(number::integer(&mut state(context)?.rng, 0, int_at(args, 0)).into()),
    },
    Entry {
        names: &["SeededRandom"],
        arguments: "seed max",
        arity: (2, Some(2)),
        about: "`Random max` of a seed",
        example: "{{SeededRandom 0 1}}",
        gives: "0",
        code: |_, args| {
            let mut rng = Rng::for_purpose(int_at(args, 0), "Random");
            Ok(number::integer(&mut rng, 0, int_at(args, 1)).into())
        },
    },
    Entry {
        names: &["RandFloatMinMax"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "a float from min up to max; max 0 stands for 100000",
        example: "{{RandFloatMinMax 0.5 0.75}}",
        gives: r"0\.[5-7]\d*",
        code: |context, args| {
            let bound = |at: usize| args.get(at).map_or(0.0, float);
            Ok(number::float(&mut state(context)?.rng, bound(0), bound(1)).into())
        },
    },
    Entry {
        names: &["RandFloatMax"],
        arguments: "max",
        arity: (1, Some(1)),
        about: "a float from 0 up to max; max 0 stands for 100000",
        example: "{{RandFloatMax 1}}",
        gives: r"0(\.\d+)?|\de-\d+",
        code: |context, args| {
            Ok(number::float(&mut state(context)?.rng, 0.0, args.first().map_or(0.0, float)).into())
        },
    },
    Entry {
        names: &["RandIntArrayMinMax"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "a JSON array of min up to but not including max integers of the same range; max 0 stands for min + 10",
        example: "{{RandIntArrayMinMax 2 3}}",
        gives: r"\[2,2\]",
        code: int_array,
    },
    Entry {
        names: &["RandString"],
        arguments: "[length]",
        arity: (0, Some(1)),
        about: "letters and digits, 20 of them if not told otherwise",
        example: "{{RandString 5}}",
        gives: "[0-9A-Za-z]{5}",
        code: |context, args| {
            let state = state(context)?;
            let length = args.first().map_or(20, int);
            let length = count(length, state.limits.text_bytes, "characters")?;
            Ok(text::alphanumeric(&mut state.rng, length).into())
        },
    },
    Entry {
        names: &["RandStringMinMax"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "min up to but not including max letters and digits; max 0 stands for three words",
        example: "{{RandStringMinMax 3 4}} {{RandStringMinMax 0 0}}",
        gives: "[0-9A-Za-z]{3} [a-z]+_[a-z]+_[a-z]+",
        code: string_between,
    },
    Entry {
        names: &["RandStringArrayMinMax"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "a JSON array of min up to but not including max strings of three words",
        example: "{{RandStringArrayMinMax 1 2}}",
        gives: r#"\["[a-z]+_[a-z]+_[a-z]+"\]"#,
        code: |context, args| {
            let (state, min, max) = counts(context, args, |limits| limits.list_items, "strings")?;
            Ok(json::strings(&mut state.rng, min, max).into())
        },
    },
    Entry {
        names: &["RandRegex"],
        arguments: "regex",
        arity: (1, Some(1)),
        about: "a string that matches the regular expression; a sentence if it is none that strings can be made from",
        example: "{{RandRegex `^AC[0-9a-f]{8}$`}}",
        gives: "AC[0-9a-f]{8}",
        code: regex,
    },
    Entry {
        names: &["RandWord"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "a word of min up to but not including max letters, 13 at most",
        example: "{{RandWord 4 5}}",
        gives: "[a-z]{4}",
        code: |context, args| {
            let (state, min, max) = counts(context, args, |limits| limits.text_bytes, "letters")?;
            Ok(text::word_between(&mut state.rng, min, max).into())
        },
    },
    Entry {
        names: &["RandSentence"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "a sentence of min up to but not including max words",
        example: "{{RandSentence 2 3}}",
        gives: r"[A-Z][a-z]* [a-z]+\.",
        code: |context, args| {
            let (state, min, max) = counts(context, args, |limits| limits.text_bytes / 16, "words")?;
            let words = between(state, min, max);
            Ok(text::sentence(&mut state.rng, words).into())
        },
    },
    Entry {
        names: &["RandParagraph"],
        arguments: "min max",
        arity: (2, Some(2)),
        about: "min up to but not including max sentences of 5 to 21 words",
        example: "{{RandParagraph 1 2}}",
        gives: r"[A-Z][a-z]*( [a-z]+){4,20}\.",
        code: |context, args| {
            let (state, min, max) = counts(context, args, |limits| limits.text_bytes / 300, "sentences")?;
            let sentences = between(state, min, max);
            Ok(text::paragraph(&mut state.rng, sentences).into())
        },
    },
    Entry {
        names: &["RandSlug"],
        arguments: "[words]",
        arity: (0, Some(1)),
        about: "words with hyphens, three if not told otherwise",
        example: "{{RandSlug}}",
        gives: "[a-z]+-[a-z]+-[a-z]+",
        code: |context, args| {
            let state = state(context)?;
            let words = count(args.first().map_or(3, int), state.limits.text_bytes / 16, "words")?;
            Ok(text::slug(&mut state.rng, words).into())
        },
    },
    Entry {
        names: &["RandPassword"],
        arguments: "[length]",
        arity: (0, Some(1)),
        about: "letters of both cases, digits and signs, 16 in all if not told otherwise",
        example: "{{RandPassword 8}}",
        gives: "[0-9A-Za-z!#%*+=?@_-]{8}",
        code: |context, args| {
            let state = state(context)?;
            let length = args.first().map_or(16, int);
            let length = count(length, state.limits.text_bytes, "characters")?;
            Ok(person::password(&mut state.rng, length).into())
        },
    },
    Entry {
        names: &["RandBase64"],
        arguments: "[bytes]",
        arity: (0, Some(1)),
        about: "random bytes in Base64, 16 if not told otherwise",
        example: "{{RandBase64}}",
        gives: "[0-9A-Za-z+/]{22}==",
        code: |context, args| {
            let state = state(context)?;
            let bytes = count(args.first().map_or(16, int), state.limits.text_bytes / 2, "bytes")?;
            Ok(id::base64(&mut state.rng, bytes).into())
        },
    },
    Entry {
        names: &["EnumString"],
        arguments: "word …",
        arity: (0, None),
        about: "one of the words; one argument may hold several",
        example: r#"{{EnumString "ONE TWO" "THREE"}}"#,
        gives: "ONE|TWO|THREE",
        code: |context, args| Ok(choose(state(context)?, args)?.into()),
    },
    Entry {
        names: &["EnumInt", "AnyInt"],
        arguments: "number …",
        arity: (0, None),
        about: "one of the integers",
        example: r#"{{EnumInt 10 20 "30 40"}}"#,
        gives: "[1-4]0",
        code: |context, args| Ok(int(&choose(state(context)?, args)?.into()).into()),
    },
];

/// The state, and two arguments as counts within a limit.
fn counts<'c>(
    context: &'c mut Context<'_>,
    args: &[Value],
    limit: fn(&crate::FunctionLimits) -> usize,
    what: &str,
) -> Result<(&'c mut State, usize, usize), FuncError> {
    let state = state(context)?;
    let limit = limit(&state.limits);
    let min = count(int_at(args, 0), limit, what)?;
    let max = count(int_at(args, 1), limit, what)?;
    Ok((state, min, max))
}

fn between(state: &mut State, min: usize, max: usize) -> usize {
    let (min, max) = (min.min(max), min.max(max));
    min + state.rng.index(max - min)
}

fn int_array(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
    let state = state(context)?;
    let (min, max) = (int_at(args, 0), int_at(args, 1));
    count(min.max(max).saturating_add(10), state.limits.list_items, "integers")?;
    Ok(json::integers(&mut state.rng, min, max).into())
}

fn string_between(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
    let (state, min, max) = counts(context, args, |limits| limits.text_bytes, "characters")?;
    if max == 0 {
        return Ok(text::words(&mut state.rng, 3, "_").into());
    }
    let length = between(state, min, max);
    Ok(text::alphanumeric(&mut state.rng, length).into())
}

fn regex(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
    let state = state(context)?;
    match cache::pattern(&text_at(args, 0)) {
        Ok(pattern) => {
            let generated = pattern.generate(&mut state.rng, &state.limits.pattern);
            generated.map(Value::from).map_err(|error| FuncError::new(error.to_string()))
        }
        Err(error) => match &*error {
            PatternError::Syntax(_) => {
                let words = between(state, 1, 6);
                Ok(text::sentence(&mut state.rng, words).into())
            }
            other => Err(FuncError::new(other.to_string())),
        },
    }
}

/// One of the words in all arguments.
fn choose(state: &mut State, args: &[Value]) -> Result<String, FuncError> {
    let joined = (0..args.len()).map(|at| text_at(args, at)).collect::<Vec<_>>().join(" ");
    let words: Vec<&str> = joined.split_whitespace().collect();
    let word = state.rng.pick(&words).ok_or_else(|| FuncError::new("wants something to choose from"))?;
    Ok((*word).to_owned())
}
