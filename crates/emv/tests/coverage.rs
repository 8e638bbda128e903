//! Keeps docs/emv-coverage.md equal to `coverage.toml`, and each test that it names existing.
//! `SMARTPOS_UPDATE_DOCS=1 cargo test -p emv --test coverage` writes the file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Coverage {
    files: BTreeMap<String, String>,
    clause: Vec<Clause>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clause {
    number: String,
    title: String,
    requirements: Vec<Requirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    text: String,
    tests: Vec<String>,
}

const TOP: &str = "\
# What EMV asks, and the test that shows it

Made from `crates/emv/coverage.toml` by a test; don't edit. The rows are Book 3 clause 10 and Book 4 clause 6 of EMV 4.4 in
our own words, with Book 1 clause 12, which both rest on. A row without a test says so. These are our own tests: nobody has
approved this kernel, and an approval takes a laboratory and its test cases, not a table.
";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Whether the file has a test of this name: `#[test]` on one of the lines right before it.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let starts = format!("fn {name}(");
    let position = lines.iter().position(|line| line.starts_with(&starts));
    position.is_some_and(|position| {
        let before = lines.iter().take(position).rev().take_while(|line| line.starts_with("#["));
        before.into_iter().any(|line| *line == "#[test]")
    })
}

fn drawn(coverage: &Coverage) -> String {
    let all = || coverage.clause.iter().flat_map(|clause| &clause.requirements);
    let shown = all().filter(|requirement| !requirement.tests.is_empty()).count();
    let mut page = format!("{TOP}\n{shown} of {} requirements have a test.\n", all().count());
    for clause in &coverage.clause {
        write!(
            page,
            "\n## {}: {}\n\n| what is asked | shown by |\n| --- | --- |\n",
            clause.number, clause.title
        )
        .unwrap();
        for Requirement { text, tests } in &clause.requirements {
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            let tests = if tests.is_empty() { "**no test yet**".to_owned() } else { tests.join("<br>") };
            writeln!(page, "| {text} | {tests} |").unwrap();
        }
    }
    page.push_str("\nThe files:\n\n");
    coverage.files.iter().for_each(|(short, path)| writeln!(page, "- `{short}`: `{path}`").unwrap());
    page
}

#[test]
fn the_page_is_what_the_table_says_and_each_test_exists() {
    let coverage: Coverage = toml::from_str(include_str!("../coverage.toml")).unwrap();
    let mut texts = BTreeMap::new();
    for (short, path) in &coverage.files {
        let text = fs::read_to_string(root().join(path));
        texts.insert(short.as_str(), text.unwrap_or_else(|error| panic!("{path}: {error}")));
    }
    let tests = coverage.clause.iter().flat_map(|clause| &clause.requirements).flat_map(|row| &row.tests);
    for test in tests {
        let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test}: FILE::NAME is wanted"));
        let text = texts.get(file).unwrap_or_else(|| panic!("{test}: {file} is not among the files"));
        assert!(has_test(text, name), "{test}: there is no such test in {}", coverage.files[file]);
    }
    let (page, path) = (drawn(&coverage), root().join("docs/emv-coverage.md"));
    if std::env::var_os("SMARTPOS_UPDATE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let how = "SMARTPOS_UPDATE_DOCS=1 cargo test -p emv --test coverage";
    assert!(written == page, "docs/emv-coverage.md is not what coverage.toml says; `{how}` writes it anew");
}
