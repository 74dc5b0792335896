//! What a function is to the catalogue.

use api_mock_datagen::Rng;
use api_mock_template::{Arity, Context, FuncError, Function, Functions, Value};

use crate::coerce::int_at;
use crate::state::state;

/// The code of a function.
pub(crate) type Code = fn(&mut Context<'_>, &[Value]) -> Result<Value, FuncError>;

/// A function of the catalogue.
pub(crate) struct Entry {
    /// The name, and other names for the same.
    pub(crate) names: &'static [&'static str],
    /// The arguments as a reader sees them.
    pub(crate) arguments: &'static str,
    pub(crate) arity: (usize, Option<usize>),
    pub(crate) about: &'static str,
    /// A template that shows it.
    pub(crate) example: &'static str,
    /// A regular expression that the example's whole output matches.
    pub(crate) gives: &'static str,
    pub(crate) code: Code,
}

/// A function that makes a value of chance alone, and its seeded twin.
pub(crate) struct Generator {
    /// The names without `Rand` and `Seeded`.
    pub(crate) names: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) gives: &'static str,
    pub(crate) make: fn(&mut Rng) -> Value,
}

impl Entry {
    pub(crate) fn add_to(&self, functions: &mut Functions) {
        let (min, max) = self.arity;
        let arity: Arity = max.map_or_else(|| (min..).into(), |max| (min..=max).into());
        let function = Function::new(arity, self.code);
        self.names.iter().for_each(|name| {
            functions.insert(name, function.clone());
        });
    }
}

impl Generator {
    pub(crate) fn add_to(&self, functions: &mut Functions) {
        let make = self.make;
        let purpose = self.names.first().copied().unwrap_or_default();
        let random = Function::new(0, move |context, _args| Ok(make(&mut state(context)?.rng)));
        // The seed's own walk-through calls `SeededName 1 10`: what follows the seed is ignored.
        let seeded = Function::new(1..=2, move |_context, args| {
            Ok(make(&mut Rng::for_purpose(int_at(args, 0), purpose)))
        });
        for name in self.names {
            functions.insert(&random_name(name), random.clone());
            functions.insert(&seeded_name(name), seeded.clone());
        }
    }
}

/// The name of the function that takes its chance from the rendering.
pub(crate) fn random_name(name: &str) -> String {
    match name {
        "Udid" | "UUID" => name.to_owned(),
        _ => format!("Rand{name}"),
    }
}

/// The name of the function that takes a seed.
pub(crate) fn seeded_name(name: &str) -> String {
    format!("Seeded{name}")
}
