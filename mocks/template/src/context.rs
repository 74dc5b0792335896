//! What one rendering may use and what it may spend.

use std::any::Any;

use crate::Value;

/// How much one rendering may spend before it is ended with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Operations. Each action, argument and loop round costs a few; each 64 bytes that a
    /// function gives back cost one more.
    pub steps: u64,
    /// How deep `{{template}}` calls may stand inside one another.
    pub depth: usize,
    /// Bytes of output; also the greatest size of a string that a built-in makes.
    pub output_bytes: usize,
}

impl Default for Limits {
    /// Ten million steps (below a second), 1,000 nested calls, 64 MiB of output.
    fn default() -> Self {
        Limits { steps: 10_000_000, depth: 1_000, output_bytes: 64 << 20 }
    }
}

impl Limits {
    /// Sets [`Limits::steps`].
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Sets [`Limits::depth`].
    #[must_use]
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Sets [`Limits::output_bytes`].
    #[must_use]
    pub fn output_bytes(mut self, bytes: usize) -> Self {
        self.output_bytes = bytes;
        self
    }
}

/// What one rendering carries along: limits, the data, and a state of the caller's own type that
/// the caller's functions read and change.
///
/// ```
/// use api_mock_template::{Context, FuncError, Functions, Template, Value};
///
/// let mut functions = Functions::new();
/// functions.add("next", 0, |context, _args| {
///     let counter = context.state::<i64>().ok_or_else(|| FuncError::new("no counter"))?;
///     *counter += 1;
///     Ok(Value::Int(*counter))
/// });
/// let template = Template::parse("t", "{{next}} {{next}}", &functions)?;
///
/// let mut counter = 6_i64;
/// let mut context = Context::with_state(&mut counter);
/// assert_eq!(template.render_with(&Value::Nil, &mut context)?, "7 8");
/// assert_eq!(counter, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Context<'s> {
    limits: Limits,
    root: Value,
    state: Option<&'s mut (dyn Any + Send + 'static)>,
}

impl<'s> Context<'s> {
    /// Default limits, no state.
    #[must_use]
    pub fn new() -> Self {
        Context::default()
    }

    /// Default limits, and a state for the functions.
    #[must_use]
    pub fn with_state(state: &'s mut (dyn Any + Send + 'static)) -> Self {
        Context { state: Some(state), ..Context::default() }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits of this rendering.
    #[must_use]
    pub fn current_limits(&self) -> Limits {
        self.limits
    }

    /// The data that the template is rendered with (the `$` of the outermost template).
    #[must_use]
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// The state given to [`Context::with_state`], if it is of type `T`.
    pub fn state<T: Any>(&mut self) -> Option<&mut T> {
        self.state.as_mut()?.downcast_mut::<T>()
    }

    pub(crate) fn set_root(&mut self, root: Value) {
        self.root = root;
    }
}
