//! Each rule finds its violation in a small made-up workspace, and this workspace has none.

use std::fs;
use std::path::{Path, PathBuf};

use super::{check, tree::Tree};

/// A made-up workspace in a temporary folder.
struct Made(PathBuf);

impl Made {
    /// A tidy one: a core, a store, the suite and the library.
    fn new() -> Self {
        let dir =
            std::env::temp_dir().join(format!("tidy-{}-{:x}", std::process::id(), crate::run::random()));
        let made = Self(dir);
        made.write("Cargo.toml", "[workspace]\nmembers = [\"locks/*\", \"mocks/*\"]\n");
        made.member("locks/core", "db-locks-core", "locks", 0, "");
        made.member("locks/conformance", "db-locks-conformance", "locks", 1, "db-locks-core = {}\n");
        made.member(
            "locks/tape",
            "db-locks-tape",
            "locks",
            1,
            "db-locks-core = {}\ntokio = {}\n[dev-dependencies]\ndb-locks-conformance = {}\n\
             [[test]]\nname = \"conformance\"\nharness = false\n",
        );
        made.write("locks/tape/tests/conformance.rs", "fn main() { db_locks_conformance::run() }\n");
        made.write("locks/tape/README.md", "# Guarantees\n[core](../core/src/lib.rs)\n");
        for module in ["config", "repository", "statements", "codec"] {
            made.write(&format!("locks/tape/src/{module}.rs"), "");
        }
        made.write("locks/tape/src/error/mod.rs", "");
        let tape = "db-locks-tape = { optional = true }\n";
        made.member("locks/db-locks", "db-locks", "locks", 2, tape);
        made.member("mocks/engine", "engine", "mocks", 1, "");
        made.write("README.md", "# Title\nSee `locks/core/`, `locks/*/src/lib.rs:1` and [below](#title).\n");
        made
    }

    fn member(&self, folder: &str, name: &str, product: &str, layer: u32, dependencies: &str) {
        let text = format!(
            "[package]\nname = \"{name}\"\n[package.metadata.house]\nproduct = \"{product}\"\nlayer = {layer}\n\
             [lints]\nworkspace = true\n[dependencies]\n{dependencies}"
        );
        self.write(&format!("{folder}/Cargo.toml"), &text);
        self.write(&format!("{folder}/src/lib.rs"), "");
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.0.join(path)).unwrap();
        assert!(text.contains(from));
        self.write(path, &text.replace(from, to));
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.join(path)).unwrap();
    }

    fn complaints(&self) -> Vec<String> {
        check(&self.0).unwrap().iter().map(ToString::to_string).collect()
    }

    /// There is one complaint, which begins and ends like this.
    #[track_caller]
    fn finds(&self, begin: &str, part: &str) {
        let found = self.complaints();
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(begin) && found[0].contains(part), "{found:#?}");
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let complaints: Vec<String> = check(root).unwrap().iter().map(ToString::to_string).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_tidy_workspace_has_no_complaint() {
    assert_eq!(Made::new().complaints(), Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let made = Made::new();
    made.member("locks/core", "db-locks-core", "locks", 0, "db-locks = {}\n");
    made.finds(
        "locks/core/Cargo.toml:9: db-locks-core (layer 0) depends on db-locks (layer 2)",
        "arrows point down",
    );
}

#[test]
fn an_arrow_to_the_same_layer_is_for_tests_only() {
    let made = Made::new();
    made.replace("locks/tape/Cargo.toml", "tokio = {}\n", "db-locks-conformance = {}\n");
    made.finds(
        "locks/tape/Cargo.toml:10: db-locks-tape (layer 1) depends on db-locks-conformance",
        "layer 1",
    );
}

#[test]
fn a_renamed_dependency_is_still_one() {
    let made = Made::new();
    let line = "[target.'cfg(unix)'.dependencies]\nx = { package = \"db-locks\" }\n";
    made.member("locks/core", "db-locks-core", "locks", 0, line);
    made.finds("locks/core/Cargo.toml:10:", "depends on db-locks (layer 2)");
}

#[test]
fn products_do_not_share_code() {
    let made = Made::new();
    made.member("mocks/engine", "engine", "mocks", 1, "[dev-dependencies]\ndb-locks-core.workspace = true\n");
    made.finds("mocks/engine/Cargo.toml:10: engine (mocks) depends on db-locks-core (locks)", "products");
}

#[test]
fn a_driver_on_the_ground_floor_is_found() {
    for name in ["tokio", "aws-sdk-dynamodb", "redis", "tokio-postgres", "prometheus"] {
        let made = Made::new();
        made.member("locks/core", "db-locks-core", "locks", 0, &format!("{name}.workspace = true\n"));
        made.finds("locks/core/Cargo.toml:9:", &format!("depends on {name}"));
    }
}

#[test]
fn a_crate_without_a_place_or_lints_is_found() {
    let made = Made::new();
    made.write("mocks/engine/Cargo.toml", "[package]\nname = \"engine\"\n");
    let found = made.complaints();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("product and layer") && found[1].contains("lints"), "{found:#?}");
}

#[test]
fn a_store_that_does_not_run_the_suite_is_found() {
    let made = Made::new();
    made.write("locks/tape/tests/conformance.rs", "// db_locks_conformance::run()\nfn main() {}\n");
    made.finds("locks/tape/tests/conformance.rs: db-locks-tape does not run", "db_locks_conformance::");
    made.remove("locks/tape/tests/conformance.rs");
    made.finds("locks/tape/tests/conformance.rs: db-locks-tape does not run", "db_locks_conformance::");
}

#[test]
fn a_store_without_its_test_target_is_found() {
    let made = Made::new();
    made.replace("locks/tape/Cargo.toml", "harness = false", "harness = true");
    made.finds("locks/tape/Cargo.toml: the suite is not a test target", "harness");
}

#[test]
fn a_store_without_readme_shape_or_feature_is_found() {
    let made = Made::new();
    made.write("locks/tape/README.md", " ");
    made.finds("locks/tape/README.md: db-locks-tape does not say", "guarantees");
    let made = Made::new();
    made.remove("locks/tape/src/repository.rs");
    made.finds("locks/tape/src/repository.rs: a store has a module", "repository");
    let made = Made::new();
    made.replace("locks/db-locks/Cargo.toml", "optional = true", "optional = false");
    made.finds("locks/db-locks/Cargo.toml: db-locks-tape is not an optional dependency", "feature");
}

#[test]
fn a_long_file_is_found_and_its_exception_only_shrinks() {
    let made = Made::new();
    let (long, list) = ("locks/core/src/long.rs", "xtask/tidy-allow.toml");
    made.write(long, &"//\n".repeat(601));
    made.finds("locks/core/src/long.rs:601: 601 lines", "600 are the limit");
    let allow = |number: u32| made.write(list, &format!("[lines]\n\"{long}\" = {number}\n"));
    allow(601);
    assert_eq!(made.complaints(), Vec::<String>::new());
    allow(700);
    made.finds("xtask/tidy-allow.toml:2: locks/core/src/long.rs has shrunk", "write 601");
    allow(601);
    made.write(long, &"//\n".repeat(650));
    made.finds("locks/core/src/long.rs:650: 650 lines", "may only shrink");
    made.write(long, &"//\n".repeat(600));
    made.finds("xtask/tidy-allow.toml:2: locks/core/src/long.rs needs no exception", "remove");
    made.remove(long);
    made.finds("xtask/tidy-allow.toml:2: locks/core/src/long.rs is not there", "remove");
    made.write(list, "[linse]\n");
    made.finds("xtask/tidy-allow.toml: cannot be read", "linse");
}

#[test]
fn a_path_that_is_not_there_is_found() {
    let made = Made::new();
    made.write("docs/deep/page.md", "One.\nSee `locks/core/src/gone.rs`.\n");
    made.finds("docs/deep/page.md:2: `locks/core/src/gone.rs` is not there", "mend");
    made.write(
        "docs/deep/page.md",
        "`page.md` `./page.md` `application/json` `/metrics` `target/debug/x` `a b/c`\n",
    );
    assert_eq!(made.complaints(), Vec::<String>::new());
    made.write("ARCHITECTURE.md", "`lokcs/core/` `tests/conformance.rs`\n");
    made.finds("ARCHITECTURE.md:1: `lokcs/core` is not there", "mend");
}

#[test]
fn a_broken_link_is_found() {
    let made = Made::new();
    for (link, why) in [
        ("../core/no.rs", "leads nowhere"),
        ("../../../x", "leads out"),
        ("#nothing", "heading"),
        ("../../README.md#nothing", "heading"),
    ] {
        made.write("locks/tape/README.md", &format!("# Guarantees\n\n[x]({link})\n"));
        made.finds(&format!("locks/tape/README.md:3: the link {link}"), why);
    }
    made.write(
        "locks/tape/README.md",
        "# Guarantees\n[a](#guarantees) [b](../../README.md#title) [c](https://x/y)\n",
    );
    assert_eq!(made.complaints(), Vec::<String>::new());
}

#[test]
fn a_folder_of_one_machine_is_found() {
    let made = Made::new();
    let (work, brief) = (["/wo", "rk/"].concat(), ["/tmp/", "brief"].concat());
    made.write("mocks/engine/src/a.rs", &format!("//\n// {work}x\n"));
    made.finds("mocks/engine/src/a.rs:2:", "one machine");
    made.write("mocks/engine/src/a.rs", &format!("// see {brief}.md\n"));
    made.finds("mocks/engine/src/a.rs:1:", "one machine");
    made.write("mocks/engine/src/a.rs", &format!("// home{work}x\n"));
    assert_eq!(made.complaints(), Vec::<String>::new());
}

#[test]
fn what_the_build_makes_is_not_read() {
    let made = Made::new();
    made.write("target/debug/x.rs", &"//\n".repeat(900));
    made.write(".git/x.rs", "");
    let tree = Tree::read(&made.0).unwrap();
    assert!(tree.files().all(|(path, _)| !path.starts_with("target") && !path.starts_with(".git")));
}
