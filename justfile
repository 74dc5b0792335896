# Short names for what is done often. Each is one plain command; `just` itself is not needed.

# show this list
default:
    @just --list

# all tests, on private servers that are started and stopped
test *args:
    cargo xtask test {{args}}

# private servers for working by hand; Ctrl-C stops them
servers *kinds:
    cargo xtask servers up {{kinds}}

# layers, sizes, docs
tidy:
    cargo xtask tidy

# format, then what the compiler and clippy say
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets --locked -- -D warnings

# the documentation, in the browser
docs:
    cargo doc --workspace --no-deps --locked --open

# all that continuous integration checks
ci:
    bash .ci/run
