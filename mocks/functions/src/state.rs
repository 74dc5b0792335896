//! What a rendering brings along for the functions.

use std::sync::Arc;

use api_mock_datagen::{PatternLimits, Rng};
use api_mock_template::time::CivilTime;
use api_mock_template::{Context, FuncError};

use crate::fixture::{FixtureSource, NoFixtures};

/// How much one call of a function may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionLimits {
    /// The longest list that `Iterate` and the functions for arrays make.
    pub list_items: usize,
    /// The longest text that a function makes, in bytes.
    pub text_bytes: usize,
    /// How strings are made from regular expressions.
    pub pattern: PatternLimits,
}

impl Default for FunctionLimits {
    /// 100,000 items, 1 MiB.
    fn default() -> Self {
        FunctionLimits { list_items: 100_000, text_bytes: 1 << 20, pattern: PatternLimits::default() }
    }
}

/// Chance, time and files of one rendering. Give it to `Context::with_state`.
///
/// ```
/// use api_mock_datagen::Rng;
/// use api_mock_functions::{State, functions};
/// use api_mock_template::time::CivilTime;
/// use api_mock_template::{Context, Template, Value};
///
/// let template = Template::parse("t", r#"{{TimeFormat "3:04PM"}} {{RandNumMinMax 5 6}}"#, &functions())?;
/// let mut state = State::new(Rng::seeded(0), CivilTime::new(2023, 7, 4, 15, 4, 5, 0).unwrap());
/// let text = template.render_with(&Value::Nil, &mut Context::with_state(&mut state))?;
/// assert_eq!(text, "3:04PM 5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct State {
    pub(crate) rng: Rng,
    pub(crate) now: CivilTime,
    pub(crate) fixtures: Arc<dyn FixtureSource>,
    pub(crate) limits: FunctionLimits,
}

impl State {
    /// A state without fixtures and with the default limits. `now` is what the functions take for
    /// the present, told in the zone that they are to show.
    #[must_use]
    pub fn new(rng: Rng, now: CivilTime) -> Self {
        State { rng, now, fixtures: Arc::new(NoFixtures), limits: FunctionLimits::default() }
    }

    /// Sets where fixtures come from.
    #[must_use]
    pub fn fixtures(mut self, fixtures: Arc<dyn FixtureSource>) -> Self {
        self.fixtures = fixtures;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: FunctionLimits) -> Self {
        self.limits = limits;
        self
    }
}

/// The state of the rendering.
pub(crate) fn state<'c>(context: &'c mut Context<'_>) -> Result<&'c mut State, FuncError> {
    context.state::<State>().ok_or_else(|| FuncError::new("rendered without an api_mock_functions::State"))
}
