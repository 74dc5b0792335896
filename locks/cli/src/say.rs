//! Words on stderr.

/// As `eprintln!`, which panics when nobody reads stderr any more (`2>&1 | head`): whoever cannot be told must not be the reason
/// why something is left undone.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($what)*);
    }};
}

pub(crate) use say;
